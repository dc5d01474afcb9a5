//! Checking signatures, and not checking the same one twice.
//!
//! A transaction is met several times: when it arrives, when a block with it is built, checked and applied. Checking a
//! signature costs some 50 µs each time, remembering that it was checked some 2 µs.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use consilium_protocol::hash::tagged;
use consilium_protocol::keys::Signature;

/// How many checked signatures are remembered: more than two full blocks and a full mempool hold.
const REMEMBERED: usize = 131_072;

/// Whatever says whether a signature is valid; always as [`Signature::verifies`] does, however it comes to know.
pub trait Signatures {
    /// Whether `signature` is the key's over `message`.
    fn verifies(&self, key: &[u8; 32], message: &[u8], signature: &Signature) -> bool;
}

/// Checks every signature anew: what an auditor does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checking;

impl Signatures for Checking {
    fn verifies(&self, key: &[u8; 32], message: &[u8], signature: &Signature) -> bool {
        signature.verifies(key, message)
    }
}

/// Remembers the signatures that were found valid, the latest of them.
#[derive(Debug)]
pub struct Remembering {
    valid: Mutex<Recent>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Recent {
    known: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Default for Remembering {
    fn default() -> Self {
        Self { valid: Mutex::default(), capacity: REMEMBERED }
    }
}

impl Signatures for Remembering {
    fn verifies(&self, key: &[u8; 32], message: &[u8], signature: &Signature) -> bool {
        // The name covers all that the answer depends on, so that nothing else can be taken for it.
        let name = tagged("consilium/verified/v1", &[key, signature.as_bytes(), message]);
        // Both collections change in one step each; a panic in between loses at most a memory of one signature.
        if self.valid.lock().unwrap_or_else(PoisonError::into_inner).known.contains(&name) {
            return true;
        }
        let valid = signature.verifies(key, message);
        if valid {
            let mut recent = self.valid.lock().unwrap_or_else(PoisonError::into_inner);
            if recent.known.insert(name) {
                recent.order.push_back(name);
            }
            if recent.order.len() > self.capacity
                && let Some(oldest) = recent.order.pop_front()
            {
                recent.known.remove(&oldest);
            }
        }
        valid
    }
}

#[cfg(test)]
mod tests {
    use consilium_protocol::keys::SigningKey;

    use super::*;

    #[test]
    fn only_exactly_what_was_checked_is_remembered() {
        let (key, other) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let signatures = Remembering { capacity: 2, ..Remembering::default() };
        let signature = key.sign(b"message");
        for _ in 0..2 {
            assert!(signatures.verifies(&key.public_key(), b"message", &signature));
            assert!(!signatures.verifies(&key.public_key(), b"massage", &signature));
            assert!(!signatures.verifies(&other.public_key(), b"message", &signature));
            assert!(!signatures.verifies(&key.public_key(), b"message", &other.sign(b"message")));
        }
        for text in [b"1", b"2", b"3"] {
            assert!(signatures.verifies(&key.public_key(), text, &key.sign(text)));
        }
        assert_eq!(signatures.valid.lock().expect("no panic").known.len(), 2, "bounded");
    }
}
