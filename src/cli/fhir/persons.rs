//! Whose a consent is: the patient whom a file names, as the subject that the hospital has for them.

use std::collections::BTreeMap;
use std::path::Path;

use consilium_engine::pseudonym::LinkSecret;
use consilium_protocol::fhir::{PatientLink, SUBJECT};
use consilium_protocol::ids::SubjectId;

use super::super::Failure;
use crate::home::files;

/// Who is meant by which name.
pub(super) struct Persons {
    link: LinkSecret,
    /// Without a list, `Patient/<person_id>` is the patient of this id.
    map: Option<BTreeMap<String, i64>>,
}

impl Persons {
    /// Reads the hospital's list, if there is one.
    pub(super) fn read(link: LinkSecret, map: Option<&Path>) -> Result<Self, Failure> {
        let read = |path: &Path| {
            let text = files::read_text(path, 1 << 30)?;
            parse(&text).map_err(|wrong| Failure::new(wrong).of_file(path))
        };
        Ok(Self { link, map: map.map(read).transpose()? })
    }

    /// The subject that is meant; nobody, if names of one link are those of two persons.
    pub(super) fn subject(&self, patient: &PatientLink) -> Option<SubjectId> {
        let subject = patient.identifier.as_ref().filter(|identifier| identifier.system == SUBJECT);
        if let Some(subject) = subject {
            return subject.value.parse().ok();
        }
        let Some(map) = &self.map else {
            let number = patient.reference.as_deref()?.strip_prefix("Patient/")?;
            let person: i64 = number.parse().ok()?;
            return (person.to_string() == number).then(|| self.link.subject(person));
        };
        let mut found = names(patient).into_iter().filter_map(|name| map.get(&name));
        let person = found.next()?;
        found.all(|other| other == person).then(|| self.link.subject(*person))
    }
}

/// The names under which a list can have a patient.
fn names(patient: &PatientLink) -> Vec<String> {
    let mut names = Vec::new();
    if let Some(reference) = &patient.reference {
        names.extend(reference.strip_prefix("Patient/").map(str::to_string));
        names.push(reference.clone());
    }
    if let Some(identifier) = &patient.identifier {
        names.push(format!("{}|{}", identifier.system, identifier.value));
        names.push(identifier.value.clone());
    }
    names
}

/// Reads lines of `patient,person_id`. Says the line that is wrong, never what stands in it.
fn parse(text: &str) -> Result<BTreeMap<String, i64>, String> {
    // Spreadsheet programs put a byte order mark first.
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let header = lines.next().map(|(_, line)| line.trim().to_lowercase()).unwrap_or_default();
    if header.split(',').map(str::trim).ne(["patient", "person_id"]) {
        return Err(
            "the first line must be `patient,person_id`: how the consents name a patient, and their id in the \
                    hospital's own tables"
                .to_string(),
        );
    }
    let mut map = BTreeMap::new();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |what: &str| format!("line {}: {what}; correct the file", number + 1);
        let (patient, person) = line.rsplit_once(',').ok_or_else(|| wrong("needs a patient and a person_id"))?;
        let person = person.trim().parse().map_err(|_| wrong("the person_id is no whole number"))?;
        let patient = patient.trim();
        let patient = patient.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(patient);
        if patient.is_empty() {
            return Err(wrong("names no patient"));
        }
        if map.insert(patient.to_string(), person).is_some_and(|other| other != person) {
            return Err(wrong("gives a patient another person_id than an earlier line"));
        }
    }
    if map.is_empty() { Err("lists no patients; add some".to_string()) } else { Ok(map) }
}

#[cfg(test)]
mod tests {
    use consilium_protocol::fhir::Identifier;

    use super::*;

    fn link() -> LinkSecret {
        LinkSecret::from_seed([3; 32])
    }

    fn patient(reference: &str, identifier: (&str, &str)) -> PatientLink {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_string());
        let of = |value| Identifier { system: identifier.0.to_string(), value };
        PatientLink { reference: some(reference), kind: None, identifier: some(identifier.1).map(of) }
    }

    #[test]
    fn a_list_names_patients_as_files_do() {
        let map = parse(
            "\u{feff}patient, person_id\r\nPatient/a,1\n\"urn:x|77\",2\n88,3\nurn:o|b,with,4\n\nc,5\nPatient/a,1\n",
        );
        let persons = Persons { link: link(), map: Some(map.expect("a list")) };
        let table = [
            (patient("Patient/a", ("", "")), Some(1)),
            (patient("Patient/c", ("", "")), Some(5)),
            (patient("", ("urn:x", "77")), Some(2)),
            (patient("", ("urn:y", "88")), Some(3)),
            (patient("", ("urn:o", "b,with")), Some(4)),
            (patient("", ("urn:y", "77")), None),
            (patient("https://one.example/fhir/Patient/a", ("", "")), None),
            (patient("Patient/1", ("", "")), None),
            (patient("Patient/a", ("urn:y", "other")), Some(1)),
            // Two names of two persons.
            (patient("Patient/a", ("urn:x", "77")), None),
        ];
        for (at, (patient, person)) in table.into_iter().enumerate() {
            assert_eq!(persons.subject(&patient), person.map(|person| link().subject(person)), "{at}");
        }
    }

    #[test]
    fn without_a_list_a_whole_number_is_the_person() {
        let persons = Persons { link: link(), map: None };
        assert_eq!(persons.subject(&patient("Patient/17", ("", ""))), Some(link().subject(17)));
        for other in
            ["Patient/017", "Patient/+17", "Patient/x", "17", "https://one.example/Patient/17", "Patient/17/_history/1"]
        {
            assert_eq!(persons.subject(&patient(other, ("urn:x", "17"))), None, "{other}");
        }
        let subject = link().subject(4);
        assert_eq!(persons.subject(&patient("", (SUBJECT, &subject.to_string()))), Some(subject));
    }

    #[test]
    fn what_is_wrong_in_a_list_is_said_by_its_line() {
        for (text, expected) in [
            ("person_id,patient\n", "the first line"),
            ("patient,person_id\n", "lists no patients"),
            ("patient,person_id\nMeyer\n", "line 2: needs"),
            ("patient,person_id\na,1\nMeyer,x\n", "line 3: the person_id"),
            ("patient,person_id\nMeyer,1\nMeyer,2\n", "line 3: gives a patient another"),
            ("patient,person_id\n,2\n", "line 2: names no patient"),
        ] {
            let wrong = parse(text).expect_err("wrong");
            assert!(wrong.contains(expected) && !wrong.contains("Meyer"), "{wrong}");
        }
    }
}
