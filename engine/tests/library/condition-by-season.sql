SELECT person_id, extract(quarter FROM first) AS quarter, extract(month FROM first) AS month
FROM (SELECT person_id, min(condition_start_date) AS first FROM condition_occurrence
      WHERE condition_concept_id = 255848 GROUP BY person_id) f
