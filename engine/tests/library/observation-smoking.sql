SELECT DISTINCT ON (o.person_id) o.person_id, p.gender_concept_id AS sex, o.value_as_concept_id AS smoking,
       div(extract(year FROM o.observation_date) - p.year_of_birth, 10) AS decade
FROM observation o JOIN person p USING (person_id)
WHERE observation_concept_id = 4275495 AND value_as_concept_id <> 0
ORDER BY o.person_id, o.observation_date DESC, o.observation_id DESC
