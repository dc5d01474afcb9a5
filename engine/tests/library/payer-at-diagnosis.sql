SELECT DISTINCT ON (f.person_id) f.person_id, y.payer_concept_id AS payer
FROM (SELECT person_id, min(condition_start_date) AS first FROM condition_occurrence
      WHERE condition_concept_id IN (201826, 443238) GROUP BY 1) f
LEFT JOIN payer_plan_period y ON y.person_id = f.person_id
     AND y.payer_plan_period_start_date <= f.first AND y.payer_plan_period_end_date >= f.first
ORDER BY f.person_id, y.payer_plan_period_start_date, y.payer_plan_period_id
