SELECT p.person_id, p.gender_concept_id AS sex,
       sum(o.observation_period_end_date - o.observation_period_start_date + 1) / 365.25 AS years,
       extract(year FROM min(o.observation_period_start_date)) - p.year_of_birth AS age
FROM person p LEFT JOIN observation_period o USING (person_id) GROUP BY p.person_id, p.gender_concept_id, p.year_of_birth
