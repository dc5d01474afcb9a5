SELECT DISTINCT ON (person_id) person_id, route_concept_id AS route
FROM drug_exposure
WHERE route_concept_id IS NOT NULL
ORDER BY person_id, drug_exposure_start_date DESC, drug_exposure_id DESC
