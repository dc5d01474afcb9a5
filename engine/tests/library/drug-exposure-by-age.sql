SELECT p.person_id, p.gender_concept_id AS sex, div(extract(year FROM f.first) - p.year_of_birth, 5) AS band, f.n AS records
FROM person p JOIN (SELECT person_id, min(drug_exposure_start_date) AS first, count(*) AS n FROM drug_exposure GROUP BY 1) f USING (person_id)
