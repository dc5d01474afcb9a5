SELECT person_id, count(*) AS exposures, count(DISTINCT drug_concept_id) AS products FROM drug_exposure
WHERE drug_concept_id IN (1503297, 40164885, 40164929) GROUP BY person_id
