SELECT e.person_id, p.gender_concept_id AS sex, avg(e.condition_era_end_date - e.condition_era_start_date) AS days
FROM condition_era e JOIN person p USING (person_id) WHERE e.condition_concept_id = 320128
GROUP BY e.person_id, p.gender_concept_id
