SELECT person_id, count(DISTINCT visit_concept_id) AS places, count(*) AS visits FROM visit_occurrence GROUP BY person_id
