SELECT e.person_id, coalesce(max(n.next - e.drug_exposure_start_date), 0) > 180 AS interrupted,
       max(n.next - e.drug_exposure_start_date) AS longest
FROM drug_exposure e
LEFT JOIN LATERAL (SELECT min(f.drug_exposure_start_date) AS next FROM drug_exposure f WHERE f.person_id = e.person_id
      AND f.drug_concept_id IN (1503297, 40164885, 40164929)
      AND (f.drug_exposure_start_date, f.drug_exposure_id) > (e.drug_exposure_start_date, e.drug_exposure_id)) n ON true
WHERE e.drug_concept_id IN (1503297, 40164885, 40164929)
GROUP BY e.person_id
