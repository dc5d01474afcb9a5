SELECT e.person_id, coalesce(max((o.first <= e.drug_exposure_start_date)::int), 0) AS indicated
FROM drug_exposure e
LEFT JOIN (SELECT person_id, min(condition_start_date) AS first FROM condition_occurrence
           WHERE condition_concept_id IN (201826, 443238) GROUP BY person_id) o ON o.person_id = e.person_id
WHERE e.drug_concept_id IN (1503297, 40164885, 40164929)
GROUP BY e.person_id
