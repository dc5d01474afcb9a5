SELECT s.person_id, min(c.condition_start_date) - s.first AS days,
       CASE WHEN min(c.condition_start_date) - s.first <= 90 THEN 'within 90 days'
            WHEN count(c.person_id) > 0 THEN 'later' ELSE 'never' END AS onset
FROM (SELECT person_id, min(procedure_date) AS first FROM procedure_occurrence WHERE procedure_concept_id = 4336464
      GROUP BY person_id) s
LEFT JOIN condition_occurrence c ON c.person_id = s.person_id AND c.condition_start_date > s.first
     AND c.condition_concept_id = 255848
GROUP BY s.person_id, s.first
