//! From cohorts to a released result, all the way: computed, blinded, encrypted, added, opened, released; against an
//! oracle that pools the rows.

mod cohorts;
mod guarded;
mod proofs;
mod refusals;
mod round;
mod text;
mod values;

pub(crate) use round::{joint, policy};

#[expect(unreachable_pub, unused_imports, reason = "the demo's own module, which is public there")]
#[path = "../../../src/demo/oracle/mod.rs"]
mod oracle;
