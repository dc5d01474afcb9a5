SELECT d.person_id, extract(year FROM d.first) - p.year_of_birth AS age,
       CASE WHEN min(c.condition_start_date) <= d.first THEN 'before' WHEN count(c.person_id) = 0 THEN 'never' ELSE 'after' END AS fibrillation
FROM (SELECT person_id, min(device_exposure_start_date) AS first FROM device_exposure WHERE device_concept_id = 4048942 GROUP BY 1) d
JOIN person p USING (person_id)
LEFT JOIN condition_occurrence c ON c.person_id = d.person_id AND c.condition_concept_id = 313217
GROUP BY d.person_id, d.first, p.year_of_birth
