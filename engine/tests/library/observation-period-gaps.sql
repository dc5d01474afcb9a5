SELECT person_id, count(*) AS periods,
       CASE WHEN count(*) > 1 THEN max(observation_period_end_date) - min(observation_period_start_date) + 1
            - sum(observation_period_end_date - observation_period_start_date + 1) END AS unseen
FROM observation_period GROUP BY person_id
