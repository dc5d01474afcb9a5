SELECT person_id,
       bool_or(condition_concept_id = 320128) AS hypertension,
       bool_or(condition_concept_id = 46271022) AS kidney_disease
FROM condition_occurrence
GROUP BY person_id
HAVING bool_or(condition_concept_id IN (SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 201826))
