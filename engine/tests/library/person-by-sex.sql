SELECT person_id, gender_concept_id AS sex FROM person
