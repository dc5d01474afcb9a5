SELECT p.person_id, p.gender_concept_id AS sex, v.visit_concept_id AS place
FROM person p
LEFT JOIN (SELECT DISTINCT ON (person_id) person_id, visit_concept_id FROM visit_occurrence
           ORDER BY person_id, visit_start_date, visit_occurrence_id) v ON v.person_id = p.person_id
