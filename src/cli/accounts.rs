//! A patient's accounts: one at each hospital where their wallet is enrolled, and one for everybody whom they sign for.
//!
//! Each hospital's node is asked about that hospital's key alone, over a connection of its own: no node learns which keys
//! are one person's.

use std::time::{SystemTime, UNIX_EPOCH};

use consilium_ledger::state::consent::More;
use consilium_protocol::genesis::{Genesis, Member};
use consilium_protocol::ids::{StudyId, SubjectId, Timestamp};
use consilium_protocol::keys::SigningKey;
use consilium_protocol::tx::{Payload, Signer};
use consilium_protocol::wire;

use super::{Failure, Global, member_named, term};
use crate::home::wards::{self, Ward};
use crate::home::{Home, Role};
use crate::net::client::{ClientError, Included, Node, refused};

/// Whose account, and where.
#[derive(clap::Args, Debug, Clone, Default)]
pub(crate) struct AccountArgs {
    /// The hospital's name or id (default: the one where this wallet is enrolled)
    #[arg(long)]
    pub(crate) hospital: Option<String>,
    /// Sign for somebody else: the first digits of their subject, as `consilium consent code --for-other` was given it
    #[arg(long = "for", value_name = "SUBJECT")]
    pub(crate) ward: Option<String>,
}

/// An account at a hospital.
pub(crate) struct Account {
    pub(crate) member: Member,
    pub(crate) node: Node,
    pub(crate) key: SigningKey,
    pub(crate) reply: wire::SubjectReply,
    /// Whether it is somebody else's, for whom the wallet signs.
    pub(crate) is_of_other: bool,
}

impl Account {
    pub(crate) fn subject(&self) -> Result<SubjectId, Failure> {
        Ok(SubjectId::try_from(&self.reply.subject[..])?)
    }

    /// What the ledger knows of who signs for the subject.
    pub(crate) fn more(&self) -> Option<More> {
        more_of(&self.reply)
    }

    /// Hands in what the account's key signs.
    pub(crate) async fn submit(&self, payload: Payload) -> Result<Included, Failure> {
        let spinner = term::spinner("waiting for the block");
        let included = self.node.submit(Signer::Patient(self.key.patient()), &self.key, payload).await;
        spinner.finish_and_clear();
        Ok(included?)
    }
}

/// What the ledger knows of who signs for a subject, if that is anything.
pub(crate) fn more_of(reply: &wire::SubjectReply) -> Option<More> {
    borsh::from_slice(&reply.more).ok()
}

/// Asks about a subject.
pub(crate) async fn ask(
    node: &Node,
    signer: Signer,
    key: &SigningKey,
    subject: Option<SubjectId>,
    about: Option<StudyId>,
) -> Result<wire::SubjectReply, ClientError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    let question = wire::subject_question(node.ledger_id(), subject.as_ref(), Timestamp::new(now));
    let request = wire::SubjectRequest {
        signer: borsh::to_vec(&signer).unwrap_or_default(),
        subject: subject.map(|s| s.as_bytes().to_vec()).unwrap_or_default(),
        time_ms: now,
        signature: key.sign(&question).as_bytes().to_vec(),
        study: about.map(|study| study.as_bytes().to_vec()).unwrap_or_default(),
    };
    let mut reply = node.ledger().subject(request).await.map_err(refused)?.into_inner();
    reply.documents.sort_by_key(|d| d.granted_height);
    Ok(reply)
}

/// A key that may have an account: where, and whether it signs for somebody else.
struct Candidate {
    member: Member,
    key: SigningKey,
    is_of_other: bool,
}

fn candidates(home: &Home, genesis: &Genesis, which: &AccountArgs) -> Result<Vec<Candidate>, Failure> {
    let wallet = home.wallet()?;
    let named = which.hospital.as_deref().map(|named| member_named(genesis, named)).transpose()?;
    let is_meant = |member: &&Member| named.is_none_or(|named| named.id == member.id);
    let wards: Vec<Ward> = wards::read(home.path())?;
    let of_ward = |ward: &Ward| {
        let member = genesis.member(&ward.hospital).filter(is_meant)?;
        let key = wallet.key_for(&ward.hospital, &ward.subject);
        Some(Candidate { member: member.clone(), key, is_of_other: true })
    };
    if let Some(prefix) = &which.ward {
        let prefix = prefix.trim().to_lowercase();
        let meant = wards.iter().filter(|ward| ward.subject.to_string().starts_with(&prefix));
        let found: Vec<Candidate> = meant.filter_map(of_ward).collect();
        if found.is_empty() {
            return Err(Failure::new(format!(
                "this wallet signs for nobody whose subject starts with `{prefix}`; make a code for the hospital's desk first: \
                 consilium consent code --for-other --hospital … --subject …"
            )));
        }
        return Ok(found);
    }
    let own =
        |member: &Member| Candidate { member: member.clone(), key: wallet.key_at(&member.id), is_of_other: false };
    let own = genesis.member.iter().filter(is_meant).map(own);
    Ok(own.chain(wards.iter().filter_map(of_ward)).collect())
}

/// What answered, and which hospitals could not be asked, with why.
pub(crate) struct Found {
    pub(crate) accounts: Vec<Account>,
    pub(crate) unreachable: Vec<(String, Failure)>,
}

/// Asks every hospital that is meant, whatever another answers.
pub(crate) async fn find(
    home: &Home,
    global: &Global,
    which: &AccountArgs,
    about: Option<StudyId>,
) -> Result<Found, Failure> {
    let genesis = home.genesis()?;
    let mut found = Found { accounts: Vec::new(), unreachable: Vec::new() };
    for Candidate { member, key, is_of_other } in candidates(home, &genesis, which)? {
        // Whoever names a node knows that it learns of each key; otherwise each hospital hears of its own alone.
        let asked = match &global.node {
            Some(named) => member_named(&genesis, named)?,
            None => &member,
        };
        let asked = async {
            let node = Node::connect(&genesis.ledger(), asked, None).await?;
            let reply = ask(&node, Signer::Patient(key.patient()), &key, None, about).await?;
            Ok::<_, ClientError>((node, reply))
        };
        match asked.await {
            Ok((node, reply)) => found.accounts.push(Account { member, node, key, reply, is_of_other }),
            Err(ClientError::NotFound(_)) => {}
            Err(error) => found.unreachable.push((member.name.clone(), error.into())),
        }
    }
    Ok(found)
}

/// The accounts that are meant: with a hospital those there, with `--for` that of the other person, otherwise all. What could
/// not be asked is said.
pub(crate) async fn accounts(
    home: &Home,
    global: &Global,
    which: &AccountArgs,
    about: Option<StudyId>,
) -> Result<Vec<Account>, Failure> {
    let Found { accounts, unreachable } = find(home, global, which, about).await?;
    if accounts.is_empty() {
        return Err(none_of(unreachable));
    }
    for (name, failure) in unreachable {
        term::warn(format!(
            "{name} could not be asked, and what is enrolled there is not shown: {}",
            failure.message()
        ));
    }
    Ok(accounts)
}

/// Why there is no account.
fn none_of(unreachable: Vec<(String, Failure)>) -> Failure {
    let mut unreachable = unreachable.into_iter();
    match unreachable.next() {
        Some((_, failure)) => failure,
        None => Failure::new(
            "this wallet is not enrolled there; ask the hospital's desk, which will want the output of `consilium consent code`",
        ),
    }
}

/// The one account that is meant: the wallet's own, or with `--for` the other person's. Where several could be meant, nothing is
/// signed at the one that happens to answer.
pub(crate) async fn one_account(home: &Home, global: &Global, which: &AccountArgs) -> Result<Account, Failure> {
    let Found { mut accounts, unreachable } = find(home, global, which, None).await?;
    if which.ward.is_none() {
        accounts.retain(|account| !account.is_of_other);
    }
    if let Some((name, failure)) = unreachable.first().filter(|_| !accounts.is_empty()) {
        return Err(Failure::new(format!(
            "{name} could not be asked ({}), and this wallet may be enrolled there, too; say with --hospital which one is meant",
            failure.message()
        )));
    }
    match (accounts.pop(), accounts.is_empty()) {
        (Some(account), true) => Ok(account),
        (Some(_), false) => {
            Err(Failure::usage("this wallet is enrolled at several hospitals; say at which with --hospital"))
        }
        (None, _) => Err(none_of(unreachable)),
    }
}

/// The home of a patient.
pub(crate) fn patient_home(global: &Global) -> Result<Home, Failure> {
    Ok(Home::open_as(&global.home, Role::Patient)?)
}
