SELECT person_id, max(n) AS at_once
FROM (SELECT e.person_id, count(DISTINCT o.drug_concept_id) AS n
      FROM drug_era e JOIN drug_era o ON o.person_id = e.person_id
           AND e.drug_era_start_date BETWEEN o.drug_era_start_date AND o.drug_era_end_date
      GROUP BY e.person_id, e.drug_era_id) s
GROUP BY person_id
