//! Which words of FHIR's vocabularies are which of ours.

use super::finding::Why;
use super::node::Coding;
use crate::consent::{Disease, Domain, Label, Modifier, ModifierKind, Purpose};

pub(super) const ACT_REASON: &[&str] =
    &["http://terminology.hl7.org/CodeSystem/v3-ActReason", "http://hl7.org/fhir/v3/ActReason"];
pub(super) const PARTICIPATION: &[&str] =
    &["http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "http://hl7.org/fhir/v3/ParticipationType"];
pub(super) const ACTION: &[&str] =
    &["http://terminology.hl7.org/CodeSystem/consentaction", "http://hl7.org/fhir/consentaction"];
pub(super) const CONFIDENTIALITY: &[&str] =
    &["http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "http://hl7.org/fhir/v3/Confidentiality"];
/// HL7's own examples name the value set as the system, too.
pub(super) const SENSITIVITY: &[&str] = &[
    "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "http://hl7.org/fhir/v3/ActCode",
    "http://terminology.hl7.org/ValueSet/v3-InformationSensitivityPolicy",
];
pub(super) const RESOURCE_TYPES: &[&str] = &["http://hl7.org/fhir/resource-types", "http://hl7.org/fhir/fhir-types"];

/// Types of documents are codes of it.
pub(super) const LOINC: &str = "http://loinc.org";

/// Whether a system is that of the Data Use Ontology, in one of the forms in which it is written.
pub(super) fn is_duo(system: &str) -> bool {
    let rest = system.strip_prefix("https://").or_else(|| system.strip_prefix("http://")).unwrap_or(system);
    matches!(rest, "purl.obolibrary.org/obo/DUO" | "purl.obolibrary.org/obo/duo")
        || matches!(rest, "purl.obolibrary.org/obo/duo.owl" | "purl.obolibrary.org/obo/" | "purl.obolibrary.org/obo")
}

/// What a code of DUO is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Duo {
    /// A permission.
    Permission(Purpose),
    /// A modifier.
    Modifier(Modifier),
    /// TS, so many months from the document's day.
    Months(u32),
}

/// What a coding of DUO says.
pub(super) fn duo(coding: &Coding<'_>) -> Result<Duo, Why> {
    let digits = coding.code.strip_prefix("DUO:").or_else(|| coding.code.strip_prefix("DUO_"));
    let digits = digits.filter(|digits| digits.len() == 7).ok_or(Why::Purpose(None))?;
    let permission = match digits {
        "0000004" => Some(Purpose::NoRestriction),
        "0000042" => Some(Purpose::GeneralResearch),
        "0000006" => Some(Purpose::HealthResearch),
        "0000011" => Some(Purpose::Ancestry),
        "0000043" => Some(Purpose::Care),
        _ => None,
    };
    match (permission, coding.parameters.as_slice()) {
        (Some(purpose), []) => return Ok(Duo::Permission(purpose)),
        (Some(_), _) => return Err(Why::DuoValue),
        (None, _) => {}
    }
    match (digits, coding.parameters.as_slice()) {
        ("0000007", [code]) => {
            return Disease::new(code).map(|d| Duo::Permission(Purpose::DiseaseResearch(d))).map_err(|_| Why::DuoValue);
        }
        ("0000025", [months]) => return months.parse().map(Duo::Months).map_err(|_| Why::DuoValue),
        ("0000007" | "0000025", _) => return Err(Why::DuoValue),
        _ => {}
    }
    let is = |kind: &ModifierKind| kind.identifier().strip_prefix("DUO:") == Some(digits);
    let kind = ModifierKind::ALL.into_iter().find(is).ok_or(Why::Purpose(None))?;
    modifier(kind, &coding.parameters).map(Duo::Modifier).ok_or(Why::DuoValue)
}

/// The modifier of a kind with these values.
fn modifier(kind: ModifierKind, values: &[&str]) -> Option<Modifier> {
    fn all<T: std::str::FromStr>(values: &[&str]) -> Option<Vec<T>> {
        let list: Option<Vec<T>> = values.iter().map(|value| value.parse().ok()).collect();
        list.filter(|list| !list.is_empty())
    }
    let plain = |modifier| values.is_empty().then_some(modifier);
    match kind {
        ModifierKind::NonProfitOrganisation => plain(Modifier::NonProfitOrganisation),
        ModifierKind::NonCommercialUse => plain(Modifier::NonCommercialUse),
        ModifierKind::NonProfitNonCommercial => plain(Modifier::NonProfitNonCommercial),
        ModifierKind::NoMethodsOnly => plain(Modifier::NoMethodsOnly),
        ModifierKind::NoAncestry => plain(Modifier::NoAncestry),
        ModifierKind::GeneticOnly => plain(Modifier::GeneticOnly),
        ModifierKind::Ethics => plain(Modifier::Ethics),
        ModifierKind::Publication => plain(Modifier::Publication),
        ModifierKind::Return => plain(Modifier::Return),
        ModifierKind::Places => all(values).map(Modifier::Places),
        ModifierKind::Users => all(values).map(Modifier::Users),
        ModifierKind::Projects => all(values).map(Modifier::Projects),
        ModifierKind::Collaboration => all(values).map(Modifier::Collaboration),
        ModifierKind::Institutions => all(values).map(Modifier::Institutions),
        ModifierKind::Moratorium => match values {
            [] => Some(Modifier::Moratorium(None)),
            [day] => day.parse().ok().map(|day| Modifier::Moratorium(Some(day))),
            _ => None,
        },
        ModifierKind::Specific => match values {
            [text] if !text.trim().is_empty() => Some(Modifier::Specific((*text).to_string())),
            _ => None,
        },
    }
}

/// The values of a modifier, as [`duo`] reads them.
pub(super) fn values(modifier: &Modifier) -> Vec<String> {
    fn all<T: ToString>(list: &[T]) -> Vec<String> {
        list.iter().map(T::to_string).collect()
    }
    match modifier {
        Modifier::Places(list) => all(list),
        Modifier::Users(list) => all(list),
        Modifier::Projects(list) => all(list),
        Modifier::Collaboration(list) | Modifier::Institutions(list) => list.clone(),
        Modifier::Moratorium(day) => day.iter().map(ToString::to_string).collect(),
        Modifier::Specific(text) => vec![text.clone()],
        Modifier::NonProfitOrganisation
        | Modifier::NonCommercialUse
        | Modifier::NonProfitNonCommercial
        | Modifier::NoMethodsOnly
        | Modifier::NoAncestry
        | Modifier::GeneticOnly
        | Modifier::Ethics
        | Modifier::Publication
        | Modifier::Return => Vec::new(),
    }
}

/// What a purpose of v3 ActReason is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// TREAT: care, in an emergency too, and never a trial.
    Treatment,
    /// ETREAT.
    Emergency,
    /// HRESCH.
    Research,
    /// What nobody can ask for here, so that a deny of it is met.
    Nobodys(&'static str),
    /// What there is no word for.
    Unsayable(&'static str),
    /// BTG.
    BreakTheGlass,
}

/// What a code of v3 ActReason means here, if it is known.
pub(super) fn reason(code: &str) -> Option<Reason> {
    const UNSAYABLE: &[&str] = &[
        "BIORCH",
        "CAREMGT",
        "CASEGEN",
        "CLINTRCH",
        "CLINTRCHNPC",
        "CLINTRCHPC",
        "CLINTRL",
        "COC",
        "DISASTER",
        "DSRCH",
        "ERTREAT",
        "FAMRQT",
        "FRAUD",
        "HDIRECT",
        "HLEGAL",
        "HOUTCOMS",
        "HPRGRP",
        "HQUALIMP",
        "HSYSADMIN",
        "HTEST",
        "LABELING",
        "METAMGT",
        "MEMADMIN",
        "MILDCRG",
        "PATADMIN",
        "PATRQT",
        "PATSFTY",
        "PERFMSR",
        "POARCH",
        "POPHLTH",
        "PRECLINTRCH",
        "PUBHLTH",
        "PWATRNY",
        "RECORDMGT",
        "SUPNWK",
        "SYSDEV",
        "THREAT",
        "TRAIN",
        "TRANSRCH",
        "TREATDS",
        "DONAT",
    ];
    Some(match code {
        "TREAT" => Reason::Treatment,
        "ETREAT" => Reason::Emergency,
        "HRESCH" => Reason::Research,
        "BTG" => Reason::BreakTheGlass,
        "HPAYMT" => Reason::Nobodys("HPAYMT"),
        "HOPERAT" => Reason::Nobodys("HOPERAT"),
        "HMARKT" => Reason::Nobodys("HMARKT"),
        other => Reason::Unsayable(UNSAYABLE.iter().find(|known| **known == other)?),
    })
}

/// The domains of a type of resource: what a permit of it opens, if that can be said, and what a deny of it closes.
///
/// A type stands for the domains into which its resources are brought in the OMOP model, and these come whole: several types
/// of medication are one domain. What is but a part of a domain that is something else, a vaccination or an allergy, cannot be
/// permitted by its type, and its deny closes the domain. Of a patient a permit opens the demographics and not the death.
pub(super) fn domains(resource: &str) -> Option<(Option<&'static [Domain]>, &'static [Domain])> {
    use Domain::{
        Billing, Condition, Death, Device, Document, Drug, Genomics, Imaging, Measurement, Observation, Person,
        Procedure, Specimen, Visit,
    };
    Some(match resource {
        "Patient" => (Some(&[Person]), &[Person, Death]),
        "Condition" => (Some(&[Condition]), &[Condition, Observation]),
        "MedicationRequest"
        | "MedicationStatement"
        | "MedicationUsage"
        | "MedicationAdministration"
        | "MedicationDispense" => (Some(&[Drug]), &[Drug]),
        "Observation" => {
            (Some(&[Measurement, Observation]), &[Measurement, Observation, Condition, Procedure, Genomics])
        }
        "Procedure" => (Some(&[Procedure]), &[Procedure, Observation]),
        "Encounter" => (Some(&[Visit]), &[Visit]),
        "Device" | "DeviceUseStatement" | "DeviceUsage" => (Some(&[Device]), &[Device]),
        "Specimen" => (Some(&[Specimen]), &[Specimen]),
        "ImagingStudy" => (Some(&[Imaging]), &[Imaging]),
        "DocumentReference" | "Composition" => (Some(&[Document]), &[Document]),
        "Coverage" | "Claim" | "ExplanationOfBenefit" => (Some(&[Billing]), &[Billing]),
        "MolecularSequence" => (Some(&[Genomics]), &[Genomics]),
        // Parts of domains.
        "Immunization" => (None, &[Drug]),
        "AllergyIntolerance" => (None, &[Condition, Observation]),
        "FamilyMemberHistory" | "QuestionnaireResponse" => (None, &[Observation]),
        "DiagnosticReport" => (None, &[Document, Measurement, Observation, Imaging, Genomics]),
        "ImagingSelection" | "Media" => (None, &[Imaging]),
        "EpisodeOfCare" => (None, &[Visit]),
        "ClaimResponse" | "ChargeItem" | "Account" | "Invoice" => (None, &[Billing]),
        _ => return None,
    })
}

/// How high a code of v3 Confidentiality is; N is 3, and R 4.
pub(super) fn confidentiality(code: &str) -> Option<usize> {
    ["U", "L", "M", "N", "R", "V"].iter().position(|known| *known == code)
}

/// The label of a sensitivity, and whether it is no more than that code.
pub(super) fn sensitivity(code: &str) -> Option<(Label, bool)> {
    Some(match code {
        "ETH" => (Label::SubstanceUse, true),
        "PSY" => (Label::MentalHealth, true),
        "SDV" => (Label::Violence, true),
        "HIV" => (Label::Hiv, true),
        // Kinds of substance use.
        "ETHUD" | "OPIOIDUD" | "ALC" | "SUD" => (Label::SubstanceUse, false),
        _ => return None,
    })
}
