SELECT person_id, max(n) AS most
FROM (SELECT v.person_id, v.visit_occurrence_id, count(o.procedure_occurrence_id) AS n
      FROM visit_occurrence v LEFT JOIN procedure_occurrence o ON o.visit_occurrence_id = v.visit_occurrence_id
      WHERE v.visit_concept_id = 9201 GROUP BY 1, 2) s
GROUP BY person_id
