//! Consents as HL7 FHIR writes them: read from R4 and R5, written as R4.
//!
//! [`import()`] reads `Consent` resources as JSON: one, a bundle, or one on each line. Whose a consent is, it leaves to the
//! hospital. [`export()`] writes terms as R4, with what R4 cannot say in modifier extensions, so that nobody who cannot read
//! these takes the rest for the whole; what was exported is imported as the same terms.
//!
//! # What a consent of others comes to
//!
//! Whoever reads a consent for somebody else must not read more into it than is said. So a permit is read narrowly and a deny
//! widely; a permit with *any* condition that cannot be said here is left out as a whole, with a notice; a deny with one has
//! its document refused, or, with [`Options::widen_denies`], forbids more, with a notice. An extension says nothing that
//! changes a meaning, by FHIR's rules; a modifier extension that is not ours is a condition that cannot be said.
//!
//! **Levels.** R4's root provision and R5's `decision` say what holds without exceptions; provisions within are the rules, to
//! which the conditions of the root apply. A permit needs both to be met; for a deny its own count where it has them. Deeper
//! levels are refused. A root that denies forbids explicitly where nothing is excepted; where something is, it permits nothing
//! more. A root that permits is a permit of its own, unless provisions permit, too: then these alone count. `policyRule` never
//! decides anything. Each level of R5 turns round the one above.
//!
//! **Actions.** Who names no action means all, and a reader must not guess in which form records may leave. So:
//!
//! | in the file | a permit of research | a permit of care | a deny |
//! |---|---|---|---|
//! | no action | aggregate | retrieve, identified | aggregate, retrieve in every form, recontact |
//! | `access` | aggregate | retrieve, identified | the same |
//! | `use` | aggregate | nothing | the same |
//! | `disclose` | retrieve, in the form `safe-harbour` | retrieve, identified | the same |
//! | `collect` | nothing | nothing | the same |
//! | `correct` | nothing | nothing | nothing: nobody here does it |
//!
//! A permit without a purpose is for any; in a document about research it is for health research. No permit of FHIR opens
//! getting in touch.
//!
//! **Purposes.** TREAT is care, in an emergency too, and never a trial; ETREAT is care in an emergency; HRESCH permits health
//! research and denies all research; codes of the Data Use Ontology are what they are. FHIR has an operation have all purposes
//! of a provision: several of a permit open what they have in common, and several of a deny are denied each. (The profiles of
//! IHE's Privacy Consent on FHIR list alternatives.) A deny of HPAYMT, HOPERAT and HMARKT is met: nobody can ask for these
//! here. BTG is no purpose.
//!
//! **Data.** A type of resources is the OMOP domains that it is brought into, whole; see the table in `words`. Confidentiality
//! is a high-water mark: R is N and R. A deny of any confidentiality denies all. A sensitivity is data of that label.
//!
//! **Time.** `period` is when a rule may be used, `dataPeriod` which data it is about; see `moment` for how moments become
//! days.
//!
//! **The broad consent** of the German Medical Informatics Initiative is read by rules of its own: see `mii`.

mod conditions;
mod dialect;
mod export;
mod finding;
mod import;
mod json;
mod mii;
mod moment;
mod node;
mod plain;
mod resource;
mod rules;
mod words;

pub use export::{About, ExportError, Standing, export};
pub use finding::{Finding, FindingKind, Why};
pub use import::{
    Identifier, Ignored, Import, ImportError, Imported, Options, Original, Outcome, PatientLink, Profile, Version,
    Written, import,
};
pub use mii::{Meaning, POLICIES, Policy};

/// A place in the input or in a resource.
pub type Place = String;

/// Our modifier extension of the outermost provision: the number of the vocabulary.
pub const TERMS: &str = "https://consilium.example/fhir/StructureDefinition/terms";
/// Our modifier extension of a provision: action, form and jurisdiction.
pub const RULE: &str = "https://consilium.example/fhir/StructureDefinition/rule";
/// Our extension of a coding of the Data Use Ontology: a value that belongs to it.
pub const PARAMETER: &str = "https://consilium.example/fhir/StructureDefinition/parameter";
/// Our code system of data domains.
pub const DOMAIN: &str = "https://consilium.example/fhir/CodeSystem/domain";
/// Identifiers of organisations, by the name under which they were accredited.
pub const ORGANISATION: &str = "https://consilium.example/fhir/NamingSystem/organisation";
/// Identifiers of researchers.
pub const RESEARCHER: &str = "https://consilium.example/fhir/NamingSystem/researcher";
/// Identifiers of hospitals.
pub const HOSPITAL: &str = "https://consilium.example/fhir/NamingSystem/hospital";
/// Identifiers of studies.
pub const STUDY: &str = "https://consilium.example/fhir/NamingSystem/study";
/// Identifiers of signed forms, by their hash.
pub const SOURCE: &str = "https://consilium.example/fhir/NamingSystem/source";
/// Identifiers of patients, by the pseudonym that their hospital has for them on the ledger.
pub const SUBJECT: &str = "https://consilium.example/fhir/NamingSystem/subject";
