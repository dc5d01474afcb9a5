SELECT p.person_id, p.gender_concept_id AS sex, CASE WHEN d.n > 0 THEN 'died' ELSE 'alive' END AS state
FROM person p
JOIN LATERAL (SELECT count(*) AS n FROM death WHERE death.person_id = p.person_id) d ON true
WHERE EXISTS (SELECT 1 FROM visit_occurrence v WHERE v.person_id = p.person_id)
  AND NOT EXISTS (SELECT 1 FROM procedure_occurrence o WHERE o.person_id = p.person_id)
