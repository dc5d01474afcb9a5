SELECT person_id, count(*) AS eras, sum(condition_occurrence_count) AS records, least(count(*) / 3 + 1, 5) AS band
FROM condition_era GROUP BY person_id
