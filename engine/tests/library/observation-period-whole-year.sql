SELECT p.person_id, (2015 - p.year_of_birth) / 20 AS band, max(o.observation_period_end_date) >= '2015-12-31' AS whole_year
FROM person p JOIN observation_period o ON o.person_id = p.person_id
     AND DATE '2015-01-01' BETWEEN o.observation_period_start_date AND o.observation_period_end_date
GROUP BY p.person_id, p.year_of_birth
