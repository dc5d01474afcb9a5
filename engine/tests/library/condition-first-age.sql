SELECT c.person_id, p.gender_concept_id AS sex, extract(year FROM min(c.condition_start_date)) - p.year_of_birth AS age
FROM condition_occurrence c
JOIN person p ON p.person_id = c.person_id
WHERE c.condition_concept_id IN (SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 201826)
GROUP BY c.person_id, p.gender_concept_id, p.year_of_birth
