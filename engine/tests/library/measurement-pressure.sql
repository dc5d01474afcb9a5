SELECT m.person_id, max(m.value_as_number) AS systolic, max(m.value_as_number) > 140 AS high
FROM measurement m
WHERE m.measurement_concept_id = 3004249 AND NOT EXISTS (SELECT 1 FROM measurement l WHERE l.person_id = m.person_id
      AND l.measurement_concept_id = 3004249 AND l.measurement_date > m.measurement_date)
GROUP BY m.person_id
