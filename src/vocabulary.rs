//! A small disease vocabulary for a consortium that brings none of its own: codes, names and parents of the Mondo
//! Disease Ontology (Vasilevsky et al., medRxiv 2022.04.13.22273750), enough for common study purposes.

use consilium_protocol::consent::{Disease, Diseases};

/// Code, name, parents.
const MONDO: [(&str, &str, &[&str]); 14] = [
    ("MONDO:0000001", "disease", &[]),
    ("MONDO:0005066", "metabolic disease", &["MONDO:0000001"]),
    ("MONDO:0005015", "diabetes mellitus", &["MONDO:0005066"]),
    ("MONDO:0005147", "type 1 diabetes mellitus", &["MONDO:0005015"]),
    ("MONDO:0005148", "type 2 diabetes mellitus", &["MONDO:0005015"]),
    ("MONDO:0004995", "cardiovascular disorder", &["MONDO:0000001"]),
    ("MONDO:0005044", "hypertensive disorder", &["MONDO:0004995"]),
    ("MONDO:0005068", "myocardial infarction", &["MONDO:0004995"]),
    ("MONDO:0005098", "stroke disorder", &["MONDO:0004995"]),
    ("MONDO:0005240", "kidney disorder", &["MONDO:0000001"]),
    ("MONDO:0005300", "chronic kidney disease", &["MONDO:0005240"]),
    ("MONDO:0004979", "asthma", &["MONDO:0000001"]),
    ("MONDO:0005249", "pneumonia", &["MONDO:0000001"]),
    ("MONDO:0004992", "cancer", &["MONDO:0000001"]),
];

/// The vocabulary.
pub fn diseases() -> Vec<Diseases> {
    let code = |text: &str| Disease::new(text).ok();
    MONDO
        .iter()
        .filter_map(|(disease, name, parents)| {
            let parents = parents.iter().filter_map(|p| code(p)).collect();
            Some(Diseases { code: code(disease)?, name: (*name).to_string(), parents })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_valid_and_every_parent_is_listed() {
        let diseases = diseases();
        assert_eq!(diseases.len(), MONDO.len());
        for disease in &diseases {
            assert!(disease.parents.iter().all(|p| diseases.iter().any(|d| d.code == *p)), "{}", disease.code);
        }
    }
}
