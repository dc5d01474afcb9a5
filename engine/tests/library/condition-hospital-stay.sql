SELECT person_id, count(DISTINCT visit_start_date) AS stays, max(visit_end_date - visit_start_date) AS longest
FROM visit_occurrence v
WHERE visit_concept_id = 9201 AND visit_occurrence_id IN
      (SELECT visit_occurrence_id FROM condition_occurrence WHERE condition_concept_id = 255848)
GROUP BY person_id
