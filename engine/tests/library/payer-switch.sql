SELECT a.person_id, count(b.payer_plan_period_id) AS changes,
       avg(a.payer_plan_period_end_date - a.payer_plan_period_start_date) AS days
FROM payer_plan_period a
LEFT JOIN LATERAL (SELECT * FROM payer_plan_period n WHERE n.person_id = a.person_id
      AND n.payer_plan_period_start_date > a.payer_plan_period_start_date
      ORDER BY n.payer_plan_period_start_date LIMIT 1) b ON b.payer_concept_id <> a.payer_concept_id
GROUP BY a.person_id
