SELECT e.person_id, p.gender_concept_id AS sex, max(e.drug_era_end_date - e.drug_era_start_date) AS longest
FROM drug_era e JOIN person p USING (person_id) WHERE e.drug_concept_id = 1503297 GROUP BY e.person_id, p.gender_concept_id
