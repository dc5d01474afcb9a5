SELECT d.person_id, p.gender_concept_id AS sex,
       CASE WHEN max(cause_concept_id) IN (313217, 4329847) THEN 'heart'
            WHEN max(cause_concept_id) IN (255848, 317009) THEN 'lung'
            WHEN max(cause_concept_id) IS NOT NULL THEN 'something else' END AS cause
FROM death d JOIN person p USING (person_id) GROUP BY d.person_id, p.gender_concept_id
