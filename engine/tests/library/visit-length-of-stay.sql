SELECT v.person_id, p.gender_concept_id AS sex, avg(v.visit_end_date - v.visit_start_date) AS days,
       avg(extract(epoch FROM v.visit_end_datetime - v.visit_start_datetime) / 3600.0) AS hours
FROM visit_occurrence v JOIN person p USING (person_id) WHERE v.visit_concept_id = 9201 GROUP BY 1, 2
