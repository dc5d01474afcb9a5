//! What a hospital's data steward does: `inbox`, `approve`, `reject`, `researcher …`.

use clap::Subcommand;
use consilium_protocol::consent::{Condition, Country, Establishment, Jurisdiction, Reach};
use consilium_protocol::genesis::Genesis;
use consilium_protocol::ids::{ResearcherId, StudyId, TxHash};
use consilium_protocol::study::StudySpec;
use consilium_protocol::tx::{AccreditResearcher, Approve, Payload, Reject, Signer, Vote};
use consilium_protocol::wire;
use serde_json::json;

use super::study::earlier::{self, Earlier};
use super::study::{self, Now, WhichArgs};
use super::{Failure, Global, connect, member_named, reach, term};
use crate::home::{Home, Role};
use crate::net::client::{Included, Node, refused};
use crate::vault::{Readiness, make_ready};
use crate::words::Language;

/// `consilium inbox`
#[derive(clap::Args, Debug)]
pub struct InboxArgs {}

/// `consilium approve`
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  consilium approve 3f9a02c1 --reason \"ethics vote 2026-114\"")]
pub struct ApproveArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Why, for the ledger
    #[arg(long, default_value = "")]
    reason: String,
    /// What consents are bound to and you find met, by its word in `consilium inbox` (repeat for several); patients whose
    /// consent is bound to anything else are not counted here
    #[arg(long, value_name = "CONDITION")]
    met: Vec<String>,
    /// Approve although the study cannot be computed over this hospital's tables as they are
    #[arg(long)]
    anyway: bool,
}

/// `consilium reject`
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  consilium reject 3f9a02c1 --reason \"not covered by our ethics vote\"")]
pub struct RejectArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Why, for the ledger
    #[arg(long)]
    reason: String,
}

/// `consilium researcher`
#[derive(clap::Args, Debug)]
pub struct ResearcherArgs {
    #[command(subcommand)]
    command: ResearcherCommand,
}

#[derive(Subcommand, Debug)]
enum ResearcherCommand {
    /// Propose to accredit a researcher, and vote for it
    Accredit(AccreditArgs),
    /// Vote on a proposal
    Vote(VoteArgs),
    /// Accredited researchers and open proposals
    List,
}

#[derive(clap::Args, Debug)]
struct AccreditArgs {
    /// The researcher's name for machines, researcher1…
    researcher: ResearcherId,
    /// Their name, for people
    #[arg(long)]
    name: String,
    /// The organisation that they work for; consents may name it
    #[arg(long)]
    organisation: String,
    /// The member whose own researcher this is: its name or id
    #[arg(long, value_name = "HOSPITAL")]
    of: Option<String>,
    /// The country that the organisation is in, as ISO 3166-1 has it, for example DE; consents may name it
    #[arg(long)]
    country: Country,
    /// The law that it stands under: gdpr, adequate (as the European Commission found for it) or other; consents may end there
    #[arg(long)]
    jurisdiction: Jurisdiction,
    /// Whether it is there to make a profit; consents may exclude it
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    for_profit: bool,
}

fn yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("say yes or no"),
    }
}

#[derive(clap::Args, Debug)]
struct VoteArgs {
    /// The proposal, or the first digits of it
    proposal: String,
    /// Vote against it
    #[arg(long)]
    against: bool,
}

async fn sign(payload: Payload, global: &Global) -> Result<Included, Failure> {
    let home = Home::open_as(&global.home, Role::Hospital)?;
    let node = connect(&home, global).await?;
    submit(&home, &node, payload).await
}

async fn submit(home: &Home, node: &Node, payload: Payload) -> Result<Included, Failure> {
    let key = home.signing_key()?;
    let spinner = term::spinner("waiting for the block");
    let included = node.submit(Signer::Hospital(key.hospital()), &key, payload).await;
    spinner.finish_and_clear();
    Ok(included?)
}

pub(crate) async fn inbox(_: &InboxArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open_as(&global.home, Role::Hospital)?;
    let node = connect(&home, global).await?;
    let studies = node.ledger().studies(wire::StudiesRequest { undecided: true }).await.map_err(refused)?.into_inner();
    let researchers = node.ledger().researchers(wire::ResearchersRequest {}).await.map_err(refused)?.into_inner();
    let proposals: Vec<&wire::Proposal> = researchers.proposals.iter().filter(|p| p.outcome == "open").collect();
    let failing = study::failing_here(&home, None);
    let mut held: Vec<(StudyId, Vec<Earlier>)> = Vec::new();
    let mut reaches: Vec<(StudyId, Reach)> = Vec::new();
    for summary in &studies.studies {
        let study = StudyId::try_from(&summary.study[..])?;
        let spec = StudySpec::from_canonical(&study::fetch(&study, &node).await?.spec)?;
        held.push((study, earlier::ask(&node, &spec, Some(&study)).await?));
        reaches.push((study, reach::ask(&node, &study).await?));
    }
    held.retain(|(_, earlier)| !earlier.is_empty());
    let genesis = home.genesis()?;
    let k = genesis.policy.min_joint_count;
    let report = json!({
        "consents": reaches.iter().map(|(study, of)| json!({ "study": study, "reach": reach::in_json(of, k, global.language()) })).collect::<Vec<_>>(),
        "studies": studies.studies.iter().map(study::summary_json).collect::<Vec<_>>(),
        "proposals": proposals.iter().map(|p| proposal_json(p)).collect::<Vec<_>>(),
        "failing": failing,
        "held_against": held.iter().map(|(study, earlier)| json!({ "study": study, "earlier": earlier })).collect::<Vec<_>>(),
    });
    term::show(global.json, &report, |_| {
        let mut text = String::new();
        if !failing.is_empty() {
            text.push_str("What this hospital owes to studies and cannot do\n\n");
            text.push_str(&study::failing_text(&failing));
            if failing.iter().any(|one| !one.waits && !one.over) {
                text.push_str("\nWhat is not said to wait is tried again by itself until the round's deadline.\n");
            }
            text.push('\n');
        }
        if studies.studies.is_empty() {
            text.push_str("no study waits for your decision\n");
        } else {
            text.push_str(&study::summaries(&studies.studies));
            for (study, earlier) in &held {
                text.push_str(&format!("\n\n{}", earlier::in_one_line(study, earlier)));
            }
            for (study, reach) in &reaches {
                for condition in reach.conditions.keys() {
                    text.push_str(&format!(
                        "\n\nStudy {}: consents here are bound to this, and count if you approve with\n{}",
                        study.short(),
                        condition_line(condition, global.language())
                    ));
                }
            }
            text.push_str(&format!(
                "\n\nNext: {}\nthen: {}\nor:   {}\n",
                global.next("study show <study>"),
                global.next("approve <study>"),
                global.next("reject <study> --reason …")
            ));
        }
        if !proposals.is_empty() {
            text.push_str("\nOpen votes\n\n");
            text.push_str(&proposal_table(&proposals, &genesis));
            text.push_str(&format!("\n\nNext: {}\n", global.next("researcher vote <proposal> [--against]")));
        }
        text
    });
    Ok(())
}

/// The study that is decided on: the named one, or the only one that waits. A decision is for good, so it is never guessed.
async fn to_decide(which: &WhichArgs, home: &Home, global: &Global) -> Result<(Node, StudyId), Failure> {
    let node = connect(home, global).await?;
    if let Some(named) = which.study.as_deref() {
        let study = study::find(Some(named), home, &node).await?;
        return Ok((node, study));
    }
    let request = wire::StudiesRequest { undecided: true };
    let waiting = node.ledger().studies(request).await.map_err(refused)?.into_inner().studies;
    match &waiting[..] {
        [one] => Ok((node, StudyId::try_from(&one.study[..])?)),
        [] => Err(Failure::new("no study waits for your decision; see `consilium study list`")),
        _ => Err(Failure::new("several studies wait for your decision; name one, see `consilium inbox`")),
    }
}

pub(crate) async fn approve(args: &ApproveArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open_as(&global.home, Role::Hospital)?;
    let (node, study) = to_decide(&args.which, &home, global).await?;
    let spec = StudySpec::from_canonical(&study::fetch(&study, &node).await?.spec)?;
    let reach = reach::ask(&node, &study).await?;
    let ticked = reach::ticked(&args.met, &reach)?;
    let left = reach.conditions.keys().filter(|condition| !ticked.contains(condition));
    let left: Vec<String> = left.map(|condition| condition_line(condition, global.language())).collect();
    if !left.is_empty() {
        term::warn(format!(
            "some consents here are bound to what you did not tick, and count only with it:\n{}",
            left.join("\n")
        ));
    }
    let here = study::try_here(&home, &spec, &Now::ask(&node).await?).await?;
    for remark in &here.remarks {
        term::warn(remark);
    }
    match here.problem {
        Some(problem) if args.anyway => term::warn(format!("the study cannot run here: {problem}")),
        Some(problem) => {
            return Err(Failure::new(format!(
                "the study cannot run here: {problem}\nnothing was decided; mend it, or reject the study; to approve it all the \
                 same, as when it will be mended before the study runs, add --anyway"
            )));
        }
        None => {}
    }
    let Readiness { pair_key, lot } = make_ready(home.path(), node.ledger_id(), &study)?;
    let payload = Payload::Approve(Approve { study, reason: args.reason.clone(), pair_key, lot, ticked });
    decided("approved", payload, study, &home, &node, global).await
}

fn condition_line(condition: &Condition, language: Language) -> String {
    format!("  --met {}: {}", condition.word(), language.condition(condition))
}

/// Hands in a decision and says that it stands.
async fn decided(
    verb: &str,
    payload: Payload,
    study: StudyId,
    home: &Home,
    node: &Node,
    global: &Global,
) -> Result<(), Failure> {
    let included = submit(home, node, payload).await?;
    term::show(global.json, &json!({ "study": study, "height": included.height, "tx": included.hash }), |_| {
        format!(
            "{} {verb} study {}, block {}\n\n  transaction  {}",
            home.name(),
            study.short(),
            included.height,
            included.hash
        )
    });
    Ok(())
}

pub(crate) async fn reject(args: &RejectArgs, global: &Global) -> Result<(), Failure> {
    let home = Home::open_as(&global.home, Role::Hospital)?;
    let (node, study) = to_decide(&args.which, &home, global).await?;
    let payload = Payload::Reject(Reject { study, reason: args.reason.clone() });
    decided("rejected", payload, study, &home, &node, global).await
}

pub(crate) async fn researcher(args: ResearcherArgs, global: &Global) -> Result<(), Failure> {
    match args.command {
        ResearcherCommand::Accredit(args) => {
            let of = match &args.of {
                Some(named) => Some(member_named(&Home::open(&global.home)?.genesis()?, named)?.id),
                None => None,
            };
            let payload = Payload::AccreditResearcher(AccreditResearcher {
                researcher: args.researcher,
                name: args.name.clone(),
                organisation: args.organisation,
                hospital: of,
                establishment: Establishment {
                    country: args.country,
                    jurisdiction: args.jurisdiction,
                    for_profit: args.for_profit,
                },
            });
            let included = sign(payload, global).await?;
            term::show(global.json, &json!({ "proposal": included.hash, "height": included.height }), |_| {
                format!(
                    "proposed to accredit {}, block {}\n\n  proposal  {}\n\nNext: more than half of the members must vote \
                     for it: {}",
                    args.name,
                    included.height,
                    included.hash,
                    global.next(&format!("researcher vote {}", included.hash.short()))
                )
            });
        }
        ResearcherCommand::Vote(args) => {
            let home = Home::open_as(&global.home, Role::Hospital)?;
            let node = connect(&home, global).await?;
            let proposal = find_proposal(&args.proposal, &node).await?;
            let payload = Payload::Vote(Vote { proposal, in_favour: !args.against });
            let included = submit(&home, &node, payload).await?;
            let report = json!({ "proposal": proposal, "height": included.height, "tx": included.hash });
            term::show(global.json, &report, |_| {
                let how = if args.against { "against" } else { "for" };
                format!(
                    "{} voted {how} proposal {}, block {}\n\n  transaction  {}",
                    home.name(),
                    proposal.short(),
                    included.height,
                    included.hash
                )
            });
        }
        ResearcherCommand::List => list(global).await?,
    }
    Ok(())
}

async fn find_proposal(text: &str, node: &Node) -> Result<TxHash, Failure> {
    if let Ok(hash) = text.parse() {
        return Ok(hash);
    }
    let prefix = text.trim().to_lowercase();
    let listed = node.ledger().researchers(wire::ResearchersRequest {}).await.map_err(refused)?.into_inner();
    let found: Vec<TxHash> = listed
        .proposals
        .iter()
        .filter_map(|p| TxHash::try_from(&p.proposal[..]).ok())
        .filter(|hash| hash.to_string().starts_with(&prefix))
        .collect();
    match found[..] {
        [one] => Ok(one),
        [] => Err(Failure::new(format!("no proposal starts with `{prefix}`; see `consilium researcher list`"))),
        _ => Err(Failure::new(format!("several proposals start with `{prefix}`; give more digits"))),
    }
}

async fn list(global: &Global) -> Result<(), Failure> {
    let home = Home::open(&global.home)?;
    let node = connect(&home, global).await?;
    let genesis = home.genesis()?;
    let reply = node.ledger().researchers(wire::ResearchersRequest {}).await.map_err(refused)?.into_inner();
    let report = json!({
        "researchers": reply.researchers.iter().map(|r| json!({ "researcher": r.researcher, "name": r.name,
            "organisation": r.organisation, "establishment": r.establishment, "hospital": r.hospital,
            "height": r.height })).collect::<Vec<_>>(),
        "proposals": reply.proposals.iter().map(proposal_json).collect::<Vec<_>>(),
    });
    term::show(global.json, &report, |_| {
        let researchers = term::table(
            ["researcher", "name", "organisation", "is", "own of", "since block"],
            reply.researchers.iter().map(|r| {
                let own_of = own_of(&r.hospital, &genesis);
                [
                    r.researcher.clone(),
                    r.name.clone(),
                    r.organisation.clone(),
                    r.establishment.clone(),
                    own_of,
                    r.height.to_string(),
                ]
            }),
        );
        let proposals: Vec<&wire::Proposal> = reply.proposals.iter().collect();
        if proposals.is_empty() {
            return researchers;
        }
        format!("{researchers}\n\nVotes\n\n{}", proposal_table(&proposals, &genesis))
    });
    Ok(())
}

/// The member whose own a researcher is: it has no role in their guarded studies.
fn own_of(hospital: &str, genesis: &Genesis) -> String {
    let member = genesis.member.iter().find(|member| member.id.to_string() == hospital);
    match (member, hospital) {
        (Some(member), _) => member.name.clone(),
        (None, "") => "no member".to_string(),
        (None, other) => other.to_string(),
    }
}

fn proposal_table(proposals: &[&wire::Proposal], genesis: &Genesis) -> String {
    term::table(
        ["proposal", "what", "is", "own of", "by the key", "for", "against", "outcome"],
        proposals.iter().map(|p| {
            [
                hex::encode(p.proposal.get(..4).unwrap_or_default()),
                p.what.clone(),
                p.establishment.clone(),
                own_of(&p.hospital, genesis),
                p.researcher.parse::<ResearcherId>().map_or_else(|_| p.researcher.clone(), |id| id.short()),
                format!("{}/{}", p.in_favour, p.members),
                p.against.to_string(),
                p.outcome.clone(),
            ]
        }),
    )
}

fn proposal_json(p: &wire::Proposal) -> serde_json::Value {
    json!({ "proposal": hex::encode(&p.proposal), "what": p.what, "in_favour": p.in_favour, "against": p.against,
        "members": p.members, "outcome": p.outcome, "researcher": p.researcher, "hospital": p.hospital,
        "establishment": p.establishment })
}
