SELECT s.person_id, s.sex, CASE WHEN count(e.person_id) > 0 THEN 'warfarin' ELSE 'none' END AS treated
FROM (SELECT o.person_id, p.gender_concept_id AS sex, min(procedure_date) AS operated FROM procedure_occurrence o
      JOIN person p USING (person_id) WHERE procedure_concept_id = 4336464 GROUP BY 1, 2) s
LEFT JOIN drug_exposure e ON e.person_id = s.person_id AND e.drug_concept_id = 1310149
     AND e.drug_exposure_start_date - s.operated BETWEEN 0 AND 90
GROUP BY s.person_id, s.sex
