use std::path::{Path, PathBuf};

use consilium_protocol::consent::Purpose;
use consilium_protocol::ids::{Height, Timestamp};
use consilium_protocol::tx::SignedTx;

use super::*;
use crate::consensus::application::{Application, ApplicationError};
use crate::rejection::Rejection;
use crate::testing::{Consortium, Ledger, Who, paper, permit};

/// A chain on disk beside the same ledger in memory.
struct OnDisk {
    directory: tempfile::TempDir,
    ledger: Ledger,
    chain: Option<Chain>,
}

impl OnDisk {
    fn new(members: u8) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let ledger = Ledger::new(members);
        let chain =
            Chain::open(&directory.path().join("ledger.redb"), &ledger.consortium.genesis).expect("a new ledger");
        Self { directory, ledger, chain: Some(chain) }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("ledger.redb")
    }

    fn chain(&self) -> &Chain {
        self.chain.as_ref().expect("open")
    }

    /// Commits on disk what the ledger in memory has more.
    fn follow(&self) {
        let from = self.chain().height().get() as usize;
        for block in &self.ledger.blocks[from..] {
            let certificate = self.ledger.consortium.certificate(block);
            self.chain().append(block, &certificate).expect("the next block");
        }
        self.assert_same(self.chain());
    }

    fn assert_same(&self, chain: &Chain) {
        let (head, entries) = chain.read(|state| (*state.head(), state.entries())).expect("alive");
        assert_eq!(head, *self.ledger.state.head());
        assert_eq!(entries, self.ledger.state.entries());
    }
}

fn story() -> OnDisk {
    let mut on_disk = OnDisk::new(3);
    on_disk.ledger.enrol(0, 1..=20);
    let grant = paper(permit(Purpose::GeneralResearch), false, 1..=20);
    assert_eq!(on_disk.ledger.one(Who::Hospital(0), grant), Ok(()));
    let study = on_disk.ledger.opened(&[0, 1, 2]);
    assert!(on_disk.ledger.approve(0, study).is_err());
    on_disk.follow();
    on_disk
}

#[test]
fn a_ledger_comes_back_as_it_was() {
    let mut on_disk = story();
    on_disk.chain = None;
    let chain = Chain::open(&on_disk.path(), &on_disk.ledger.consortium.genesis).expect("it opens again");
    on_disk.assert_same(&chain);
    let last = on_disk.ledger.blocks.last().expect("blocks").clone();
    let (block, certificate) = chain.block(last.header.height).expect("alive").expect("the last block");
    assert_eq!((block.hash(), certificate.block), (last.hash(), last.hash()));
    let (height, outcome) = chain.outcome(&last.txs[0].hash()).expect("alive").expect("an outcome");
    assert_eq!(height, last.header.height);
    assert!(matches!(outcome, Err(Rejection::AlreadyDecided { .. })));
    assert_eq!(
        chain.result(last.header.height).expect("alive").expect("a result").app_hash,
        on_disk.ledger.state.head().app_hash
    );
    assert!(chain.block(Height::new(1_000)).expect("alive").is_none());
    assert!(chain.file_bytes().expect("alive") > 0);

    // And goes on: what follows from entries was built again, too.
    on_disk.chain = Some(chain);
    on_disk.ledger.now += 20_000;
    on_disk.ledger.commit(Vec::new());
    on_disk.follow();
}

/// A kill leaves the file as it is at that instant: a copy made while the ledger is open.
#[test]
fn a_node_killed_at_any_instant_loses_nothing_it_acknowledged() {
    let mut on_disk = OnDisk::new(3);
    on_disk.ledger.enrol(0, 1..=50);
    on_disk.follow();
    for name in 1..=12 {
        let grant = paper(permit(Purpose::GeneralResearch), name % 3 == 0, [name]);
        assert_eq!(on_disk.ledger.one(Who::Hospital(0), grant), Ok(()));
        on_disk.follow();
        let copy = on_disk.directory.path().join(format!("killed-{name}.redb"));
        std::fs::copy(on_disk.path(), &copy).expect("a copy");
        let chain = Chain::open(&copy, &on_disk.ledger.consortium.genesis).expect("it recovers");
        on_disk.assert_same(&chain);
    }
}

#[test]
fn a_half_written_tail_is_not_taken_for_a_block() {
    let mut on_disk = story();
    let before = std::fs::read(on_disk.path()).expect("a file");
    let height = on_disk.chain().height();
    on_disk.ledger.enrol(1, 100..=200);
    on_disk.follow();
    let after = std::fs::read(on_disk.path()).expect("a file");
    // The next block's pages reached the disk up to some point, its commit did not: the header page is the old one.
    for part in 1..8usize {
        let end = after.len() * part / 8;
        let mut torn = before.clone();
        torn.resize(after.len().max(before.len()), 0);
        torn[4096.min(end)..end].copy_from_slice(&after[4096.min(end)..end]);
        let copy = on_disk.directory.path().join(format!("torn-{part}.redb"));
        std::fs::write(&copy, &torn).expect("a copy");
        match Chain::open(&copy, &on_disk.ledger.consortium.genesis) {
            Ok(chain) => assert_eq!(chain.height(), height),
            // Pages that the old commit still refers to were reused only after it was superseded; a tear through
            // them is found, not read.
            Err(error) => assert!(error.to_string().contains(';'), "{error}"),
        }
    }
}

fn refusal(path: &Path, consortium: &Consortium) -> ChainError {
    Chain::open(path, &consortium.genesis).expect_err("refused")
}

#[test]
fn foreign_files_are_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let consortium = Consortium::new(3);
    for (name, content) in [("text", b"hello, this is no ledger".to_vec()), ("long", vec![0x5a; 100_000])] {
        std::fs::write(path(name), &content).expect("a file");
        let error = refusal(&path(name), &consortium);
        assert!(matches!(error, ChainError::Foreign { .. } | ChainError::Damaged { .. }), "{name}: {error:?}");
        assert_eq!(std::fs::read(path(name)).expect("a file"), content);
    }
    let other = redb::Database::create(path("other")).expect("a database");
    let table: redb::TableDefinition<'_, u64, u64> = redb::TableDefinition::new("numbers");
    let write = other.begin_write().expect("a transaction");
    write.open_table(table).expect("a table").insert(1, 1).expect("an entry");
    write.commit().expect("a commit");
    drop(other);
    assert!(matches!(refusal(&path("other"), &consortium), ChainError::Foreign { .. }));
    assert!(matches!(refusal(directory.path(), &consortium), ChainError::Storage(_)), "a directory");
}

#[test]
fn other_ledgers_and_versions_are_refused() {
    let mut on_disk = story();
    assert!(matches!(refusal(&on_disk.path(), &on_disk.ledger.consortium), ChainError::InUse { .. }));
    on_disk.chain = None;
    let mut other = Consortium::new(3);
    other.genesis.chain_id = consilium_protocol::ids::ChainId::new("another").expect("a chain id");
    assert!(matches!(refusal(&on_disk.path(), &other), ChainError::OtherChain { .. }));
    assert!(matches!(refusal(&on_disk.path(), &Consortium::new(4)), ChainError::OtherGenesis));

    let meta: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("meta");
    let tamper = |key: &str, value: &[u8]| {
        let database = redb::Database::open(on_disk.path()).expect("a database");
        let write = database.begin_write().expect("a transaction");
        let old = {
            let mut table = write.open_table(meta).expect("a table");
            table.insert(key, value).expect("an entry").map(|old| old.value().to_vec())
        };
        write.commit().expect("a commit");
        old.expect("it was there")
    };
    let old = tamper("format", &2u32.to_le_bytes());
    let consortium = &on_disk.ledger.consortium;
    assert!(matches!(refusal(&on_disk.path(), consortium), ChainError::Format { found: 2, .. }));
    tamper("format", &old);
    let mut head = *on_disk.ledger.state.head();
    head.app_hash = AppHash::from_bytes([9; 32]);
    let old = tamper("head", &borsh::to_vec(&head).expect("memory"));
    assert!(matches!(refusal(&on_disk.path(), consortium), ChainError::Damaged { .. }));
    head = *on_disk.ledger.state.head();
    head.moment.height = Height::new(3);
    tamper("head", &borsh::to_vec(&head).expect("memory"));
    assert!(matches!(refusal(&on_disk.path(), consortium), ChainError::Damaged { .. }));
    tamper("head", &old);
    assert!(Chain::open(&on_disk.path(), &consortium.genesis).is_ok());
}

#[test]
fn a_block_that_does_not_fit_changes_nothing() {
    let mut on_disk = story();
    on_disk.ledger.enrol(1, [7]);
    let block = on_disk.ledger.blocks.last().expect("blocks").clone();
    let certify = |block: &Block| on_disk.ledger.consortium.certificate(block);
    let chain = on_disk.chain();
    let faulty = |change: &dyn Fn(&mut Block)| {
        let mut block = block.clone();
        change(&mut block);
        chain.append(&block, &certify(&block)).expect_err("refused")
    };
    assert!(matches!(faulty(&|b| b.header.height = Height::new(99)), ChainError::Block(BlockFault::Height { .. })));
    let error = faulty(&|b| b.header.parent = BlockHash::from_bytes([1; 32]));
    assert!(matches!(error, ChainError::Block(BlockFault::Parent { .. })));
    let error = faulty(&|b| b.header.app_hash = AppHash::from_bytes([1; 32]));
    assert!(matches!(error, ChainError::Block(BlockFault::AppHash { .. })));
    let error = faulty(&|b| b.header.time = Timestamp::new(5));
    assert!(matches!(error, ChainError::Block(BlockFault::TimeNotLater { .. })));
    let error = faulty(&|b| b.header.proposer = consilium_protocol::ids::HospitalId::from_public_key([1; 32]));
    assert!(matches!(error, ChainError::Block(BlockFault::Proposer)));
    assert!(matches!(faulty(&|b| b.txs.clear()), ChainError::Block(BlockFault::TxsHash)));
    let error = faulty(&|b| {
        b.txs[0].body.push(0);
        b.header.txs = Block::txs_hash(&b.txs);
    });
    assert!(matches!(error, ChainError::Block(BlockFault::TxSignature { index: 0 })));
    let mut certificate = certify(&block);
    certificate.signatures.pop();
    assert!(matches!(chain.append(&block, &certificate), Err(ChainError::Certificate(_))));
    let before = &on_disk.ledger.blocks[0];
    assert!(matches!(chain.append(&block, &certify(before)), Err(ChainError::OtherCertificate { .. })));
    on_disk.follow();
}

#[test]
fn consensus_is_told_of_divergence() {
    let mut on_disk = story();
    on_disk.ledger.enrol(1, [7]);
    let mut block = on_disk.ledger.blocks.last().expect("blocks").clone();
    block.header.app_hash = AppHash::from_bytes([1; 32]);
    let certificate = on_disk.ledger.consortium.certificate(&block);
    let error = on_disk.chain().commit(&block, &certificate).expect_err("refused");
    assert!(matches!(error, ApplicationError::Diverged { .. }));
}

#[test]
fn built_blocks_leave_out_what_would_be_rejected() {
    let mut on_disk = story();
    let proposer = on_disk.ledger.consortium.hospital(0);
    let now = Timestamp::new(on_disk.ledger.now + 100);
    let mut txs: Vec<SignedTx> = Vec::new();
    for name in [200u32, 201] {
        let subjects = vec![on_disk.ledger.consortium.enrolment(0, name, None)];
        let enrol = consilium_protocol::tx::Payload::Enrol(consilium_protocol::tx::Enrol { subjects });
        // The same subject twice, and a grant that builds on it.
        txs.push(on_disk.ledger.sign(Who::Hospital(0), enrol.clone()));
        txs.push(on_disk.ledger.sign(Who::Hospital(0), enrol));
        txs.push(on_disk.ledger.sign(Who::Hospital(0), paper(permit(Purpose::GeneralResearch), false, [name])));
    }
    let chain = on_disk.chain();
    assert_eq!(chain.check_tx(&txs[0], now).expect("alive"), Ok(()));
    assert!(matches!(chain.check_tx(&txs[2], now).expect("alive"), Err(Rejection::UnknownSubject { .. })));
    assert_eq!(chain.check_envelope(&txs[2], now).expect("alive"), Ok(()));
    let block = chain.build(proposer, now, txs.clone()).expect("a block");
    let expected: Vec<SignedTx> = [0, 2, 3, 5].iter().map(|i| txs[*i].clone()).collect();
    assert_eq!(block.txs, expected);
    assert_eq!(block.header.time, now);
    on_disk.assert_same(chain);
    assert_eq!(chain.check(&block), Ok(()));

    let mut watching = chain.subscribe();
    chain.commit(&block, &on_disk.ledger.consortium.certificate(&block)).expect("committed");
    let committed = watching.try_recv().expect("told");
    assert_eq!((committed.height, committed.outcomes.len()), (block.header.height, 4));
    assert!(committed.outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
    // A clock that is behind: just after the last block.
    let next = chain.build(proposer, Timestamp::new(1), Vec::new()).expect("a block");
    assert_eq!(next.header.time, now.plus_millis(1));
    assert_eq!(chain.validators(next.header.height).len(), 3);
    assert!(chain.validators(next.header.height.next().expect("a height")).is_empty());
    assert!(chain.validators(Height::new(0)).is_empty());
}

/// The first of two of one signer is rejected, and has the larger sequence number: left out, it uses up nothing.
#[test]
fn what_is_left_out_of_a_block_does_not_stand_in_the_way() {
    let mut on_disk = story();
    let terms = || permit(Purpose::GeneralResearch);
    let good = on_disk.ledger.sign(Who::Hospital(0), paper(terms(), false, [1]));
    let bad = on_disk.ledger.sign(Who::Hospital(0), paper(terms(), false, [999]));
    let now = Timestamp::new(on_disk.ledger.now + 100);
    let proposer = on_disk.ledger.consortium.hospital(0);
    let block = on_disk.chain().build(proposer, now, vec![bad, good.clone()]).expect("a block");
    assert_eq!(block.txs, [good]);
}

/// What follows from the entries is taken back with them: whose key it is, and which studies wait.
#[test]
fn checking_a_transaction_leaves_no_trace() {
    let mut on_disk = OnDisk::new(3);
    let study = on_disk.ledger.proposed();
    on_disk.follow();
    let now = Timestamp::new(on_disk.ledger.now + 1);
    let subjects = vec![on_disk.ledger.consortium.enrolment(0, 1, Some(1))];
    let enrol = consilium_protocol::tx::Payload::Enrol(consilium_protocol::tx::Enrol { subjects });
    let withdraw = consilium_protocol::tx::WithdrawStudy { study };
    let withdraw = consilium_protocol::tx::Payload::WithdrawStudy(withdraw);
    for (who, payload) in [(Who::Hospital(0), enrol), (Who::Researcher(1), withdraw)] {
        let tx = on_disk.ledger.sign(who, payload);
        assert_eq!(on_disk.chain().check_tx(&tx, now).expect("alive"), Ok(()));
    }
    on_disk.assert_same(on_disk.chain());
    let patient = on_disk.ledger.consortium.key(Who::Patient(1)).patient();
    assert_eq!(on_disk.chain().read(|state| state.subject_of(&patient)).expect("alive"), None);
    on_disk.ledger.now += 20_000;
    let result = on_disk.ledger.commit(Vec::new());
    assert_eq!(result.events, [Event::StudyExpired { study }]);
    on_disk.follow();
}

/// A faulty proposer can include a copy; its author still reads what came of the original.
#[test]
fn a_copy_does_not_hide_what_came_of_the_original() {
    let mut on_disk = story();
    let tx = on_disk.ledger.blocks[1].txs[0].clone();
    on_disk.ledger.commit(vec![tx.clone()]);
    on_disk.follow();
    let outcome = on_disk.chain().outcome(&tx.hash()).expect("alive").expect("an outcome");
    assert_eq!(outcome, (Height::new(2), Ok(())));
}

#[test]
fn a_failed_disk_closes_the_ledger_for_good() {
    let mut on_disk = story();
    on_disk.ledger.enrol(1, [7]);
    let height = on_disk.chain().height();
    let error = on_disk.chain().poisoned_by(ChainError::Storage("no space left".to_string()));
    assert!(matches!(error, ChainError::Storage(_)));
    let block = on_disk.ledger.blocks.last().expect("blocks");
    let certificate = on_disk.ledger.consortium.certificate(block);
    let chain = on_disk.chain();
    assert!(matches!(chain.append(block, &certificate), Err(ChainError::Poisoned(_))));
    assert!(matches!(chain.commit(block, &certificate), Err(ApplicationError::Storage(_))));
    assert!(matches!(chain.read(|_| ()), Err(ChainError::Poisoned(_))));
    assert!(matches!(chain.block(height), Err(ChainError::Poisoned(_))));
    assert!(matches!(chain.check_tx(&block.txs[0], Timestamp::new(1)), Err(ChainError::Poisoned(_))));
    assert!(chain.clone().decided(height).is_err());
    assert_eq!(chain.height(), height);
}
