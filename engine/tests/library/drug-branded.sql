SELECT person_id, 100.0 * count(*) FILTER (WHERE concept_class_id = 'Branded Drug') / count(*) AS branded,
       bool_or(concept_class_id = 'Branded Drug')::int AS any_branded
FROM drug_exposure JOIN concept ON concept_id = drug_concept_id WHERE standard_concept = 'S' GROUP BY person_id
