//! What a worker must not be able to do, tried out: `consilium doctor` says what a machine's isolation is worth by it, and
//! tests hold each limit to it.

use std::path::PathBuf;

use borsh::{BorshDeserialize, BorshSerialize};

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Probe {
    /// Open a file, or list a folder.
    Read(String),
    /// Make a file, and remove it again.
    Write(String),
    /// Connect to a TCP port of this machine.
    Connect(u16),
    /// Take memory without end.
    Memory,
    /// Compute without end.
    Processor,
    /// Wait without end.
    Wait,
    /// Panic.
    Panic,
    /// Recurse without end.
    Stack,
    /// Answer with so many bytes more than are expected.
    Output(u64),
}

impl Probe {
    /// Tries it: whether it could be done.
    pub(super) fn attempt(&self) -> bool {
        match self {
            Self::Read(path) => {
                let path = PathBuf::from(path);
                std::fs::File::open(&path).is_ok() || std::fs::read_dir(&path).is_ok()
            }
            Self::Write(path) => {
                let path = PathBuf::from(path);
                let written = std::fs::write(&path, [0]).is_ok();
                written && std::fs::remove_file(&path).is_ok()
            }
            Self::Connect(port) => std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok(),
            Self::Memory => {
                let mut taken = Vec::new();
                loop {
                    taken.push(std::hint::black_box(vec![1u8; 1 << 20]));
                }
            }
            Self::Processor => {
                let mut number = 0u64;
                loop {
                    number = std::hint::black_box(number.wrapping_add(1));
                }
            }
            Self::Wait => loop {
                std::thread::park();
            },
            Self::Panic => panic!("as asked"),
            Self::Stack => recurse(0) > 0,
            Self::Output(_) => true,
        }
    }
}

#[expect(unconditional_recursion, reason = "that is what is tried out")]
fn recurse(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    recurse(room[0] + 1).wrapping_add(room[1])
}
