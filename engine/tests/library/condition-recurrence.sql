SELECT a.person_id, count(DISTINCT a.condition_occurrence_id) AS onsets,
       min(b.condition_start_date - a.condition_start_date) AS shortest
FROM condition_occurrence a
LEFT JOIN condition_occurrence b ON b.person_id = a.person_id AND b.condition_concept_id = 255848
     AND (b.condition_start_date, b.condition_occurrence_id) > (a.condition_start_date, a.condition_occurrence_id)
WHERE a.condition_concept_id = 255848
GROUP BY a.person_id
