SELECT i.person_id, coalesce(d.died <= o.ends, false) AS died,
       (least(o.ends, d.died) - i.first) / 365.25 AS years
FROM (SELECT person_id, min(condition_start_date) AS first FROM condition_occurrence
      WHERE condition_concept_id = 4329847 GROUP BY person_id) i
JOIN LATERAL (SELECT max(observation_period_end_date) AS ends FROM observation_period o WHERE o.person_id = i.person_id
      AND i.first BETWEEN o.observation_period_start_date AND o.observation_period_end_date) o ON o.ends IS NOT NULL
LEFT JOIN (SELECT person_id, min(death_date) AS died FROM death GROUP BY person_id) d ON d.person_id = i.person_id
WHERE d.died IS NULL OR d.died >= i.first
