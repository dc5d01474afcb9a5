SELECT person_id, avg(days_supply) AS supply, percentile_cont(0.5) WITHIN GROUP (ORDER BY quantity) AS quantity,
       sum(coalesce(refills, 0)) AS refills
FROM drug_exposure WHERE drug_concept_id IN (1503297, 40164885, 40164929) GROUP BY person_id
