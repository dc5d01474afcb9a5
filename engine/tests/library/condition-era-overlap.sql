SELECT person_id, count(*) AS overlaps, max(upper(both_eras) - lower(both_eras)) AS longest
FROM (SELECT a.person_id, daterange(a.condition_era_start_date, a.condition_era_end_date, '[]')
             * daterange(b.condition_era_start_date, b.condition_era_end_date, '[]') AS both_eras
      FROM condition_era a JOIN condition_era b USING (person_id)
      WHERE b.condition_concept_id = 320128 AND a.condition_concept_id IN
            (SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 201826)) o
WHERE NOT isempty(both_eras)
GROUP BY person_id
