SELECT a.person_id, min(e.drug_exposure_start_date) IS NOT NULL AS given, min(e.drug_exposure_start_date) - a.first AS days
FROM (SELECT person_id, min(observation_date) AS first FROM observation WHERE observation_concept_id = 439224 GROUP BY 1) a
LEFT JOIN drug_exposure e ON e.person_id = a.person_id AND e.drug_concept_id = 1713332 AND e.drug_exposure_start_date > a.first
GROUP BY a.person_id, a.first
