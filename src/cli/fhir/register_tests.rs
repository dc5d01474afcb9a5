use std::collections::BTreeSet;

use consilium_protocol::ids::{ContentHash, DocumentId, SubjectId};

use super::*;

fn key(name: &str) -> Key {
    Key { system: String::new(), name: name.to_string() }
}

fn seen(subject: u8) -> Seen {
    Seen {
        subject: SubjectId::from_bytes([subject; 16]),
        digest: ContentHash::from_bytes([subject; 32]),
        updated: None,
        written: None,
        kind: Kind::Plain,
        place: "a file".to_string(),
    }
}

fn form(name: &str, subject: u8, salt: u8, is_suspension: bool) -> Form {
    let proof = Proof::new([salt; 32], (0, "original"));
    Form { key: key(name), seen: seen(subject), terms: ContentHash::from_bytes([9; 32]), proof, is_suspension }
}

fn document(number: u8) -> DocumentId {
    DocumentId::from_bytes([number; 32])
}

fn granted(register: &mut Register, number: u64, form: Form, id: u8) {
    register.apply(number, Record::Intent { tx: vec![1], forms: vec![form] }).expect("an intent");
    let settled = Record::Settled { intent: number, documents: vec![Some(document(id))] };
    register.apply(number + 1, settled).expect("of this intent");
}

fn endings(register: &Register) -> BTreeSet<DocumentId> {
    register.endings.keys().copied().collect()
}

#[test]
fn a_version_takes_the_place_of_the_one_before_and_of_its_suspension() {
    let mut register = Register::default();
    granted(&mut register, 0, form("a", 1, 1, false), 10);
    assert!(endings(&register).is_empty());
    // While a refusal is open the earlier version stays as it is.
    granted(&mut register, 2, form("a", 1, 2, true), 11);
    let entry = &register.entries[&key("a")];
    assert!(entry.standing == Standing::Refused && entry.document.is_some() && endings(&register).is_empty());
    granted(&mut register, 4, form("a", 1, 3, false), 12);
    assert_eq!(endings(&register), [document(10), document(11)].into());
    let entry = &register.entries[&key("a")];
    assert!(entry.suspension.is_none() && entry.document.is_some_and(|made| made.document == document(12)));
    // Both end by what took their place.
    assert!(register.endings.values().all(|ending| ending.source == Proof::new([3; 32], (0, "original")).source));
    register.apply(6, Record::Ended(vec![document(10)])).expect("one that was to end");
    assert_eq!(endings(&register), [document(11)].into());
    assert!(register.apply(7, Record::Ended(vec![document(10)])).is_err());
}

#[test]
fn what_ends_leaves_nothing_and_what_is_resumed_leaves_the_version_before() {
    for (standing, left) in [(Standing::Ended, 2), (Standing::Silenced, 2), (Standing::Resumed, 1)] {
        let mut register = Register::default();
        granted(&mut register, 0, form("a", 1, 1, false), 10);
        granted(&mut register, 2, form("a", 1, 2, true), 11);
        let proof = Proof::new([4; 32], (0, "its end"));
        register.apply(4, Record::Left { key: key("a"), seen: seen(1), standing, proof }).expect("known");
        assert_eq!(register.endings.len(), left, "{standing:?}");
        assert_eq!(register.entries[&key("a")].is_live(), standing == Standing::Resumed);
    }
}

#[test]
fn a_suspension_of_another_patient_ends_what_was_the_wrong_ones() {
    let mut register = Register::default();
    granted(&mut register, 0, form("a", 1, 1, false), 10);
    granted(&mut register, 2, form("a", 2, 2, true), 11);
    assert_eq!(endings(&register), [document(10)].into());
    assert_eq!(register.endings[&document(10)].subject, SubjectId::from_bytes([1; 16]));
}

#[test]
fn an_intent_stays_open_until_it_is_known_what_became_of_it() {
    let mut register = Register::default();
    let forms = vec![form("a", 1, 1, false), form("b", 2, 2, false)];
    register.apply(5, Record::Intent { tx: vec![7], forms }).expect("an intent");
    assert!(register.entries.is_empty() && register.open[&5].0 == [7]);
    let short = Record::Settled { intent: 5, documents: vec![None] };
    assert!(register.apply(6, short).is_err());
    let mut register = Register::default();
    let forms = vec![form("a", 1, 1, false), form("b", 2, 2, false)];
    register.apply(5, Record::Intent { tx: vec![7], forms }).expect("an intent");
    register.apply(6, Record::Settled { intent: 5, documents: vec![Some(document(1)), None] }).expect("both");
    assert!(
        register.open.is_empty()
            && register.entries.contains_key(&key("a"))
            && !register.entries.contains_key(&key("b"))
    );
    assert!(register.apply(7, Record::Settled { intent: 5, documents: vec![None, None] }).is_err());
}

/// Whatever was written before a crash, what was written is what is known after.
#[test]
fn books_that_were_cut_off_anywhere_are_a_beginning_of_what_was_written() {
    use super::super::books::Books;

    let home = tempfile::tempdir().expect("a folder");
    crate::home::files::create_private_dir(&home.path().join("secrets")).expect("a folder");
    let mut books = Books::open(home.path()).expect("new books");
    books.keep(&["an original"]).expect("written");
    let intent = books.write(Record::Intent { tx: vec![7], forms: vec![form("a", 1, 1, false)] }).expect("written");
    books.write(Record::Settled { intent, documents: vec![Some(document(1))] }).expect("written");
    let proof = Proof::new([4; 32], (0, "its end"));
    let left = Record::Left { key: key("a"), seen: seen(1), standing: Standing::Ended, proof };
    books.write(left).expect("written");
    books.write(Record::Ended(vec![document(1)])).expect("written");
    drop(books);
    let path = home.path().join("consents").join("register.log");
    let bytes = std::fs::read(&path).expect("a file");
    let mut found = BTreeSet::new();
    // The disk is waited for each time, so not at every byte.
    for cut in (0..=bytes.len()).step_by(23).chain([bytes.len()]) {
        std::fs::write(&path, &bytes[..cut]).expect("written");
        let register = Books::open(home.path()).expect("a beginning").register;
        let standing = register.entries.get(&key("a")).map(|entry| format!("{:?}", entry.standing));
        found.insert((register.open.len(), standing.unwrap_or_default(), register.endings.len()));
    }
    let all = [(0, "", 0), (0, "Accepted", 0), (0, "Ended", 0), (0, "Ended", 1), (1, "", 0)];
    assert_eq!(found, all.map(|(open, standing, endings)| (open, standing.to_string(), endings)).into());
    // Neither names nor originals can be read without the key.
    for name in ["register.log", "originals.log"] {
        let bytes = std::fs::read(home.path().join("consents").join(name)).expect("a file");
        let has = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
        assert!(!has(b"original") && !has(b"a file"), "{name}");
    }
    std::fs::remove_file(&path).expect("removed");
    assert!(Books::open(home.path()).is_err(), "without it, everything would be imported twice");
}
