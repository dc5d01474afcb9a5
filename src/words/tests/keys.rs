//! Every language has the same texts, with the same places to fill.

use std::collections::{BTreeMap, BTreeSet};

use consilium_protocol::consent::{ModifierKind, Reason};

use crate::words::texts::{fill, of, plain, read};
use crate::words::{Language, Preset};

/// Every text of a file by its key, lists by position.
fn flat(language: Language) -> BTreeMap<String, String> {
    fn walk(key: &str, value: &toml::Value, into: &mut BTreeMap<String, String>) {
        match value {
            toml::Value::String(text) => {
                into.insert(key.to_string(), text.clone());
            }
            toml::Value::Array(list) => {
                list.iter().enumerate().for_each(|(at, value)| walk(&format!("{key}.{at}"), value, into));
            }
            toml::Value::Table(table) => {
                table.iter().for_each(|(name, value)| walk(&format!("{key}.{name}"), value, into));
            }
            other => panic!("{key}: {other} is no text"),
        }
    }
    let mut texts = BTreeMap::new();
    walk("", &toml::Value::Table(toml::from_str(language.file()).expect("TOML")), &mut texts);
    texts
}

fn places(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

#[test]
fn every_language_has_the_same_texts_with_the_same_places() {
    let english = flat(Language::En);
    for language in Language::ALL {
        assert!(read(language.file()).is_ok(), "{language:?}: {:?}", read(language.file()).err());
        let texts = flat(language);
        assert_eq!(texts.keys().collect::<Vec<_>>(), english.keys().collect::<Vec<_>>(), "{language:?}");
        for (key, text) in &texts {
            assert_eq!(places(text), places(&english[key]), "{language:?} {key}");
            let braces = text.matches(['{', '}']).count();
            assert_eq!(braces, 2 * text.matches('{').count(), "{language:?} {key}");
            let neat =
                !text.contains("  ") && (text.trim() == text || key == ".rule.separator" || key == ".rule.codes");
            assert!(neat && !text.is_empty(), "{language:?} {key}: `{text}`");
        }
    }
}

#[test]
fn a_file_that_lacks_a_text_or_has_one_that_nobody_knows_is_not_read() {
    let file = Language::En.file();
    for line in ["on = \"on {from}\"\n", "death = \"death\"\n", "HIV = \"“HIV”\"\n", "SDV = \"“violence and abuse”\"\n"]
    {
        assert!(file.contains(line) && read(&file.replacen(line, "", 1)).is_err(), "{line}");
    }
    assert!(read(&file.replacen("[join]\n", "[join]\nxor = \"either\"\n", 1)).is_err());
    assert!(read(&file.replacen("[modifier]\n", "[modifier]\nXYZ = \"only if\"\n", 1)).is_err());
}

/// Every reason; a new one does not compile here.
fn reasons() -> Vec<Reason> {
    use Reason::{
        Denies, Expired, Modifier, NoConsent, NotTicked, NotYetValid, OtherAction, OtherForm, OtherJurisdiction,
        OtherPurpose, OtherRecipient, Permits, PermitsByDefault, Sensitivity,
    };
    let mut all = vec![
        NoConsent,
        OtherAction,
        OtherPurpose,
        OtherForm,
        OtherJurisdiction,
        OtherRecipient,
        Expired,
        NotYetValid,
        NotTicked,
        Permits,
        PermitsByDefault,
        Sensitivity,
        Denies,
    ];
    all.extend(ModifierKind::ALL.map(Modifier));
    all
}

#[test]
fn every_reason_is_told_apart_and_as_it_is_sent() {
    for language in Language::ALL {
        let unknown = language.sent_reason("\"a_reason_of_next_year\"");
        assert!(!unknown.is_empty());
        let mut told = BTreeSet::from([unknown]);
        for reason in reasons() {
            let words = language.reason(reason);
            assert_eq!(language.sent_reason(&serde_json::to_string(&reason).expect("JSON")), words);
            assert!(!words.contains(['{', '}']), "{words}");
            assert!(told.insert(words), "{language:?} {reason:?}");
        }
        // One of a modifier, one unknown, and the others.
        assert_eq!(of(language).reason.len(), reasons().len() - ModifierKind::ALL.len() + 2);
    }
}

#[test]
fn the_words_of_the_wire_have_texts() {
    for language in Language::ALL {
        let screen = language.screen();
        for word in ["running", "released", "failed", "withdrawn"] {
            assert!(screen.outcome.contains_key(word), "{language:?} {word}");
        }
        for word in ["revoked", "superseded", "ended when the patient left the hospital"] {
            assert!(screen.end.contains_key(word), "{language:?} {word}");
        }
        for word in ["own", "device", "proxy", "guardian", "hospital"] {
            assert!(screen.by.contains_key(word), "{language:?} {word}");
        }
    }
}

#[test]
fn a_language_is_taken_from_the_first_locale_that_says_anything() {
    let of = |all: &str, messages: &str, lang: &str| {
        Language::of_locales([all.to_string(), messages.to_string(), lang.to_string()])
    };
    assert_eq!(of("", "", ""), Language::En);
    assert_eq!(of("", "", "de_DE.UTF-8"), Language::De);
    assert_eq!(of("", "fr", "de_DE.UTF-8"), Language::Fr);
    assert_eq!(of("C", "fr_CH", "de_DE.UTF-8"), Language::En);
    assert_eq!(of("de@euro", "fr_CH", ""), Language::De);
    assert_eq!(of("nl_NL.UTF-8", "", "de"), Language::En);
}

#[test]
fn what_is_filled_in_is_taken_as_it_is() {
    assert_eq!(fill("a {x} b {y}.", &[("x", "{y}"), ("y", "2")]), "a {y} b 2.");
    assert_eq!(fill("a {z}", &[("x", "1")]), "a {z}");
    assert_eq!(plain("  two\nlines\u{1b}[2J \t x "), "two lines [2J x");
}

#[test]
fn presets_are_named_as_files_write_them() {
    for preset in Preset::ALL {
        assert_eq!(toml::Value::String(preset.name().to_string()).try_into(), Ok(preset));
        let is_typed = preset != Preset::Disease;
        assert_eq!(Preset::named(preset.name()).is_some(), is_typed);
    }
}
