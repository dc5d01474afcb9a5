SELECT a.person_id, avg((SELECT min(b.drug_era_start_date) FROM drug_era b WHERE b.person_id = a.person_id
       AND b.drug_concept_id = a.drug_concept_id AND b.drug_era_start_date > a.drug_era_end_date) - a.drug_era_end_date) AS gap,
       count(*) AS gaps
FROM drug_era a
WHERE EXISTS (SELECT 1 FROM drug_era b WHERE b.person_id = a.person_id AND b.drug_concept_id = a.drug_concept_id
              AND b.drug_era_start_date > a.drug_era_end_date)
GROUP BY a.person_id
