SELECT p.person_id, c.n + d.n + o.n + m.n AS records, m.n AS measurements
FROM person p
JOIN LATERAL (SELECT count(*) AS n FROM condition_occurrence x WHERE x.person_id = p.person_id) c ON true
JOIN LATERAL (SELECT count(*) AS n FROM drug_exposure x WHERE x.person_id = p.person_id) d ON true
JOIN LATERAL (SELECT count(*) AS n FROM procedure_occurrence x WHERE x.person_id = p.person_id) o ON true
JOIN LATERAL (SELECT count(*) AS n FROM measurement x WHERE x.person_id = p.person_id) m ON true
WHERE c.n + d.n + o.n + m.n > 0
