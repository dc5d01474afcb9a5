SELECT d.person_id, extract(year FROM min(d.death_date)) - max(p.year_of_birth) AS age,
       count(v.visit_occurrence_id) > 0 AS in_hospital
FROM (SELECT person_id, min(death_date) AS death_date FROM death GROUP BY person_id) d
JOIN person p USING (person_id)
LEFT JOIN visit_occurrence v ON v.person_id = d.person_id AND v.visit_concept_id = 9201
     AND v.visit_start_date <= d.death_date AND v.visit_end_date >= d.death_date
GROUP BY d.person_id
