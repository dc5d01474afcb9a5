SELECT person_id, 100.0 * sum(days_supply) / (max(drug_exposure_start_date + days_supply) - min(drug_exposure_start_date)) AS covered
FROM drug_exposure
WHERE drug_concept_id IN (1503297, 40164885, 40164929) AND days_supply > 0
GROUP BY person_id HAVING count(*) > 1
