SELECT a.person_id, bool_or(coalesce(b.again - a.visit_end_date <= 30, false)) AS readmitted,
       coalesce(bool_or(a.discharged_to_concept_id = 8536), false)::int AS went_home
FROM visit_occurrence a
LEFT JOIN LATERAL (SELECT min(visit_start_date) AS again FROM visit_occurrence n WHERE n.person_id = a.person_id
      AND n.visit_concept_id = 9201
      AND (n.visit_start_date, n.visit_occurrence_id) > (a.visit_start_date, a.visit_occurrence_id)) b ON true
WHERE a.visit_concept_id = 9201
GROUP BY a.person_id
