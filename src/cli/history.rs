//! `consilium history`: a subject's consents, and who used its data under them, in the reader's words.

use std::collections::BTreeMap;

use consilium_engine::cohort::Reads;
use consilium_protocol::consent::{AllowedData, Opened, Terms, Window};
use consilium_protocol::ids::StudyId;
use consilium_protocol::study::StudySpec;
use consilium_protocol::wire;
use serde_json::{Value, json};

use super::accounts::{AccountArgs, accounts};
use super::consent::of_person;
use super::{Failure, Global, connect, study, term};
use crate::home::{Home, Role};
use crate::net::client::Node;
use crate::words::{Language, Teller, fill};
use crate::worker::once;

/// `consilium history`
#[derive(clap::Args, Debug)]
pub struct Args {
    /// For a hospital: the patient's id in its own tables
    #[arg(long)]
    person: Option<i64>,
}

pub(crate) async fn run(args: &Args, global: &Global) -> Result<(), Failure> {
    let home = Home::open(&global.home)?;
    let genesis = home.genesis()?;
    let node = connect(&home, global).await?;
    let mut replies: Vec<wire::SubjectReply> = match (home.role(), args.person) {
        (Role::Patient, None) => {
            let accounts = accounts(&home, global, &AccountArgs::default(), None).await?;
            accounts.into_iter().map(|account| account.reply).collect()
        }
        (Role::Hospital, Some(person)) => vec![of_person(&home, &node, person, None).await?],
        (Role::Hospital, None) => return Err(Failure::usage("say whose history with --person")),
        _ => return Err(Failure::new("a history is a patient's own; use --home with the patient's wallet")),
    };
    narrow(&mut replies, &node).await?;
    let teller = Teller::new(global.language(), &genesis);
    let report: Vec<Value> = replies.iter().map(|r| history_json(r, &teller)).collect();
    term::show(global.json, &report, |_| {
        replies.iter().map(|r| history_text(r, &teller)).collect::<Vec<_>>().join("\n\n")
    });
    Ok(())
}

/// Leaves of what consent opened only what the study's query names. A query over tables that one hospital declares cannot
/// be read here; then all that consent opened is left.
pub(crate) async fn narrow(replies: &mut [wire::SubjectReply], node: &Node) -> Result<(), Failure> {
    let mut known: BTreeMap<Vec<u8>, Option<Reads>> = BTreeMap::new();
    for used in replies.iter_mut().flat_map(|reply| &mut reply.uses).filter(|used| used.allowed) {
        let reads = match known.get(&used.study) {
            Some(reads) => reads.clone(),
            None => {
                let study = StudyId::try_from(&used.study[..])?;
                let spec = StudySpec::from_canonical(&study::fetch(&study, node).await?.spec)?;
                known.entry(used.study.clone()).or_insert(once::check(&spec).await.ok()).clone()
            }
        };
        if let Some(reads) = reads {
            // Writing to a vector cannot fail.
            used.data = borsh::to_vec(&reads.of(&data_of(used))).unwrap_or_default();
        }
    }
    Ok(())
}

fn data_of(used: &wire::UseRecord) -> AllowedData {
    borsh::from_slice(&used.data).unwrap_or_default()
}

/// Data for machines.
pub(super) fn data_json(data: &AllowedData) -> Value {
    let part = |(domain, opened): (_, &Opened)| json!({ "domain": domain, "undated": opened.undated, "days": opened.days.iter().collect::<Vec<Window>>() });
    data.iter().map(part).collect()
}

/// What a document says.
pub(super) fn terms_of(document: &wire::Document) -> Option<Terms> {
    borsh::from_slice(&document.terms).ok()
}

/// What the documents say that have not ended.
pub(super) fn current(documents: &[wire::Document]) -> Vec<Terms> {
    documents.iter().filter(|d| d.ended_height == 0).filter_map(terms_of).collect()
}

/// A document for machines.
pub(super) fn document_json(d: &wire::Document, teller: &Teller) -> Value {
    let terms = terms_of(d);
    json!({ "document": hex::encode(&d.document), "basis": d.basis, "granted_height": d.granted_height,
        "granted_ms": d.granted_ms, "ended_height": (d.ended_height > 0).then_some(d.ended_height),
        "ended_by": d.ended_by, "in_words": terms.as_ref().map(|t| teller.terms(t)), "terms": terms })
}

/// Which document it is, and when and how it was given.
pub(super) fn given(d: &wire::Document, language: Language) -> String {
    let screen = language.screen();
    let by = screen.by.get(&d.by).unwrap_or(&d.basis);
    let document = hex::encode(d.document.get(..4).unwrap_or_default());
    fill(&screen.given, &[("document", &document), ("when", &term::moment(d.granted_ms)), ("by", by)])
}

/// What a document says, further in than what stands above it.
pub(super) fn says(d: &wire::Document, teller: &Teller) -> String {
    let says = terms_of(d).map_or_else(|| teller.language.screen().unreadable.clone(), |terms| teller.terms(&terms));
    format!("  {}", says.replace('\n', "\n  "))
}

/// Documents, each with what it says, and what people should know of those that are current.
pub(super) fn documents(documents: &[wire::Document], teller: &Teller) -> String {
    let screen = teller.language.screen();
    if documents.is_empty() {
        return screen.none.clone();
    }
    let mut text = String::new();
    for d in documents {
        let by = screen.end.get(&d.ended_by).unwrap_or(&d.ended_by);
        let state = match d.ended_height {
            0 => screen.current.clone(),
            _ => fill(&screen.ended, &[("when", &term::moment(d.ended_ms)), ("by", by)]),
        };
        text.push_str(&format!("{}, {state}\n{}\n\n", given(d, teller.language), says(d, teller)));
    }
    text.push_str(&noted(&teller.notes(&current(documents).iter().collect::<Vec<_>>()), teller.language));
    text.trim_end().to_string()
}

/// Notes as paragraphs, each with an empty line after it.
pub(super) fn noted(notes: &[String], language: Language) -> String {
    let paragraph = |note: &String| format!("{}\n\n", fill(&language.screen().note, &[("note", note)]));
    notes.iter().map(paragraph).collect()
}

/// A subject's history for machines.
pub(crate) fn history_json(reply: &wire::SubjectReply, teller: &Teller) -> Value {
    let language = teller.language;
    json!({ "subject": hex::encode(&reply.subject), "hospital": reply.hospital, "hospital_name": reply.hospital_name,
        "documents": reply.documents.iter().map(|d| document_json(d, teller)).collect::<Vec<_>>(),
        "uses": reply.uses.iter().map(|u| json!({ "study": hex::encode(&u.study), "title": u.title,
            "researcher": u.researcher_name, "organisation": u.organisation, "purpose": u.purpose, "round": u.round,
            "height": u.height, "time_ms": u.time_ms, "outcome": u.outcome, "allowed": u.allowed,
            "data": data_json(&data_of(u)), "data_in_words": language.data(&data_of(u)),
            "documents": u.documents.iter().map(hex::encode).collect::<Vec<_>>(),
            "reasons": u.reasons.iter().map(|reason| reason_json(reason, language)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>() })
}

fn reason_json(sent: &str, language: Language) -> Value {
    let reason: Value = serde_json::from_str(sent).unwrap_or_default();
    json!({ "reason": reason, "in_words": language.sent_reason(sent) })
}

/// A subject's history for people.
pub(crate) fn history_text(reply: &wire::SubjectReply, teller: &Teller) -> String {
    let screen = teller.language.screen();
    let subject = hex::encode(reply.subject.get(..4).unwrap_or_default());
    let mut text = format!(
        "{}\n\n{}\n\n{}\n\n{}\n\n",
        fill(&screen.subject, &[("hospital", &reply.hospital_name), ("subject", &subject)]),
        screen.consents,
        documents(&reply.documents, teller),
        screen.studies
    );
    if reply.uses.is_empty() {
        text.push_str(&screen.no_study);
        return text;
    }
    let header: [&str; 7] = std::array::from_fn(|column| screen.history[column].as_str());
    text.push_str(&term::table(header, reply.uses.iter().map(|used| use_row(used, teller.language))));
    text
}

fn use_row(used: &wire::UseRecord, language: Language) -> [String; 7] {
    let screen = language.screen();
    let mine = match (used.allowed, data_of(used)) {
        (true, data) if data.is_empty() => screen.nothing_asked.clone(),
        (true, data) => language.data(&data),
        (false, _) => {
            let reasons: Vec<String> = used.reasons.iter().map(|reason| language.sent_reason(reason)).collect();
            fill(&screen.nothing_because, &[("reasons", &reasons.join(", "))])
        }
    };
    let under: Vec<String> = match used.allowed {
        true => used.documents.iter().map(|d| hex::encode(d.get(..4).unwrap_or_default())).collect(),
        false => Vec::new(),
    };
    [
        term::moment(used.time_ms),
        used.title.clone(),
        format!("{}, {}", used.researcher_name, used.organisation),
        used.purpose.clone(),
        mine,
        under.join(", "),
        screen.outcome.get(&used.outcome).unwrap_or(&used.outcome).clone(),
    ]
}
