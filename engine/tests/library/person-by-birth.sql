SELECT person_id, year_of_birth - year_of_birth % 10 AS decade, coalesce(r.race, 'unknown') AS race, month_of_birth
FROM person LEFT JOIN (VALUES (8527, 'white'), (8516, 'black'), (8515, 'asian')) r (id, race) ON r.id = race_concept_id
