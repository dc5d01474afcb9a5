SELECT o.person_id, count(*) FILTER (WHERE visit_concept_id = 9203) AS emergency,
       count(*) FILTER (WHERE visit_concept_id IS DISTINCT FROM 9203) AS elsewhere
FROM observation o JOIN visit_occurrence v ON v.visit_occurrence_id = o.visit_occurrence_id GROUP BY o.person_id
