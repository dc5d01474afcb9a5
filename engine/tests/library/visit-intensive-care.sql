SELECT person_id, count(*) AS transfers, sum(visit_detail_end_date - visit_detail_start_date + 1) AS days
FROM visit_detail WHERE visit_detail_concept_id = 32037 GROUP BY person_id
