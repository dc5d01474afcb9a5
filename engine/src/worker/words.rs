//! Words that errors are made of, across the pipe.
//!
//! Errors hold the words of their own text as `&'static str`. Both sides are the same program, so a word that arrives is one
//! that stands in this program, too; it is kept once, for as long as the process lives. A worker that sends others fills the
//! list up to its end, and then gets a word that says so.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, PoisonError};

use borsh::BorshDeserialize as _;
use borsh::io::{Read, Write};

/// The longest word, in bytes.
const LONGEST: usize = 512;
/// How many words there are at most; the program has some hundred.
const MOST: usize = 1_024;

static WORDS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// Writes a word.
pub(crate) fn write<W: Write>(word: &&'static str, output: &mut W) -> io::Result<()> {
    borsh::BorshSerialize::serialize(*word, output)
}

/// Reads a word.
pub(crate) fn read<R: Read>(input: &mut R) -> io::Result<&'static str> {
    let word = String::deserialize_reader(input)?;
    if word.len() > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = words.get(word.as_str()) {
        return Ok(known);
    }
    if words.len() >= MOST {
        return Ok("something that has no name here");
    }
    let word: &'static str = Box::leak(word.into_boxed_str());
    words.insert(word);
    Ok(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(word: &str) -> io::Result<&'static str> {
        read(&mut &borsh::to_vec(word).expect("a vector")[..])
    }

    #[test]
    fn a_word_is_kept_once_and_the_list_ends() {
        let first = read_one("a subquery").expect("a word");
        assert!(std::ptr::eq(first, read_one("a subquery").expect("a word")));
        assert!(read_one(&"x".repeat(LONGEST + 1)).is_err());
        for number in 0..2 * MOST {
            read_one(&format!("word {number}")).expect("a word");
        }
        assert!(WORDS.lock().expect("the words").len() <= MOST);
        assert_eq!(read_one("a subquery").expect("a word"), "a subquery");
        assert_eq!(read_one("another").expect("a word"), "something that has no name here");
    }
}
