//! Diseases whose code or name is like one that was written.

use consilium_protocol::consent::{Disease, Diseases};

/// How many changes of a letter make a code another.
const FAR: usize = 3;
/// The least letters by which a name is looked for.
const WORD: usize = 4;
/// How many are suggested.
const SUGGESTED: usize = 3;

/// The diseases of a vocabulary that somebody who wrote this code may have meant, the likeliest first.
pub(super) fn to<'a>(code: &Disease, listed: &'a [Diseases]) -> Vec<&'a Diseases> {
    let mut near: Vec<(usize, &Diseases)> =
        listed.iter().map(|entry| (distance(code, entry), entry)).filter(|(far, _)| *far < FAR).collect();
    near.sort_by_key(|(far, _)| *far);
    let nearest = near.first().map_or(0, |(far, _)| *far);
    near.into_iter().take_while(|(far, _)| *far == nearest).map(|(_, entry)| entry).take(SUGGESTED).collect()
}

fn distance(code: &Disease, entry: &Diseases) -> usize {
    by_code(code.code(), entry.code.code()).min(by_name(code.code(), &entry.name))
}

fn by_code(one: &str, other: &str) -> usize {
    let significant = |code: &str| {
        let (vocabulary, local) = code.split_once(':').unwrap_or(("", code));
        format!("{vocabulary}:{}", local.trim_start_matches('0')).to_lowercase()
    };
    changes(&significant(one), &significant(other))
}

/// As when somebody writes `MONDO:asthma`.
fn by_name(code: &str, name: &str) -> usize {
    let local = code.split_once(':').map_or(code, |(_, local)| local);
    let written = local.replace(['_', '-', '.'], " ").to_lowercase();
    if written.chars().filter(|c| c.is_alphabetic()).count() < WORD {
        return FAR;
    }
    let name = name.to_lowercase();
    match name.contains(&written) {
        true => 0,
        false => name.split(' ').chain([name.as_str()]).map(|part| changes(part, &written)).min().unwrap_or(FAR),
    }
}

/// How many letters have to be put in, taken out or changed (Levenshtein's distance).
fn changes(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let here = (before + usize::from(a != *b)).min(row[j] + 1).min(row[j + 1] + 1);
            before = std::mem::replace(&mut row[j + 1], here);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggested(code: &str) -> Vec<String> {
        let listed = crate::vocabulary::diseases();
        to(&Disease::new(code).expect("a code"), &listed).iter().map(|entry| entry.name.clone()).collect()
    }

    #[test]
    fn what_is_written_nearly_right_is_found() {
        assert_eq!(suggested("MONDO:5148"), ["type 2 diabetes mellitus"]);
        assert_eq!(suggested("mondo:0004979"), ["asthma"]);
        assert_eq!(suggested("MONDO:asthma"), ["asthma"]);
        assert_eq!(suggested("ICD10:astma"), ["asthma"]);
        assert_eq!(suggested("X:kidney-disease"), ["chronic kidney disease"]);
        assert_eq!(suggested("MONDO:00049799"), ["asthma"]);
        assert_eq!(suggested("ICD10:I21"), [""; 0]);
    }

    #[test]
    fn changes_are_counted() {
        for (one, other, count) in [("", "", 0), ("a", "", 1), ("abc", "abd", 1), ("kitten", "sitting", 3)] {
            assert_eq!((changes(one, other), changes(other, one)), (count, count));
        }
    }
}
