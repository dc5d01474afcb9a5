SELECT m.person_id, p.gender_concept_id AS sex,
       EXISTS (SELECT 1 FROM condition_occurrence c WHERE c.person_id = m.person_id AND c.condition_concept_id IN (201826, 443238)) AS diabetes,
       m.value_as_number AS hba1c
FROM (SELECT DISTINCT ON (person_id) * FROM measurement WHERE measurement_concept_id = 3004410 AND value_as_number IS NOT NULL
      ORDER BY person_id, measurement_date DESC, measurement_datetime DESC NULLS LAST, measurement_id DESC) m
JOIN person p USING (person_id)
WHERE m.unit_concept_id = 8554
