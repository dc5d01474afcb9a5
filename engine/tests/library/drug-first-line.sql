SELECT person_id,
       CASE WHEN max(d) FILTER (WHERE c = 1310149) IS NULL THEN 'metformin only'
            WHEN max(d) FILTER (WHERE c = 1503297) IS NULL THEN 'warfarin only'
            WHEN max(d) FILTER (WHERE c = 1503297) < max(d) FILTER (WHERE c = 1310149) THEN 'metformin first'
            WHEN max(d) FILTER (WHERE c = 1503297) > max(d) FILTER (WHERE c = 1310149) THEN 'warfarin first'
            ELSE 'same day' END AS sequence
FROM (SELECT person_id, drug_concept_id AS c, min(drug_era_start_date) AS d FROM drug_era
      WHERE drug_concept_id IN (1503297, 1310149) GROUP BY person_id, drug_concept_id) s
GROUP BY person_id
