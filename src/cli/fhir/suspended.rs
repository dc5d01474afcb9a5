//! `consilium consent suspended` and `resume`: refusals that a person has to decide about.

use serde_json::{Value, json};

use super::super::{Failure, Global, connect, counted, term};
use super::books::Books;
use super::carry::{Desk, said_at_the_desk};
use super::import::today;
use super::register::{Entry, Key, OnLedger, Record, Standing};
use crate::home::{Home, Role};

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  consilium consent resume 3f9a02c1                        by the document listed
  consilium consent resume \"consents.ndjson, resource 17\"  by where it was read

What was refused is left out from then on, and what the patient had consented to before holds again. If the refused consent can be corrected, import the corrected version instead: it takes the refusal away by itself.")]
pub(crate) struct ResumeArgs {
    /// The document that denies, or its first digits; where the consent was read; or its id
    #[arg(required = true, value_name = "PLACE|ID")]
    which: Vec<String>,
}

async fn opened(global: &Global) -> Result<(Desk, Books), Failure> {
    let home = Home::open_as(&global.home, Role::Hospital)?;
    let desk = Desk { node: connect(&home, global).await?, key: home.signing_key()? };
    let mut books = Books::open(home.path())?;
    desk.settle(&mut books).await?;
    desk.end(&mut books, today()).await?;
    Ok((desk, books))
}

pub(crate) async fn list(global: &Global) -> Result<(), Failure> {
    let home = Home::open_as(&global.home, Role::Hospital)?;
    // Whoever only looks makes no books.
    let books = if Books::look(home.path())?.is_some() { Some(opened(global).await?.1) } else { None };
    let all: Vec<(&Key, &Entry, &OnLedger)> = books.iter().flat_map(|books| books.register.suspended()).collect();
    let report: Vec<Value> = all
        .iter()
        .map(|(_, entry, suspension)| {
            json!({ "document": suspension.document, "place": entry.seen.place, "has_earlier_version": entry.document.is_some() })
        })
        .collect();
    term::show(global.json, &json!({ "suspended": report }), |_| {
        if all.is_empty() {
            return "no refusal is open".to_string();
        }
        let rows = all.iter().map(|(_, entry, suspension)| {
            let earlier = if entry.document.is_some() { "an earlier version holds again" } else { "nothing of it" };
            [suspension.document.short(), entry.seen.place.clone(), earlier.to_string()]
        });
        let table = term::table(["document", "refused", "after resuming"], rows);
        format!(
            "{table}\n\nUntil you decide, nothing of these patients may be read. Import a corrected version, or leave out what was \
             refused: consilium consent resume <document>"
        )
    });
    Ok(())
}

pub(crate) async fn resume(args: &ResumeArgs, global: &Global) -> Result<(), Failure> {
    let (desk, mut books) = opened(global).await?;
    let mut chosen = Vec::new();
    for which in &args.which {
        let which = which.trim();
        let found: Vec<(Key, Entry)> = books
            .register
            .suspended()
            .filter(|(key, entry, suspension)| is_meant(which, key, entry, suspension))
            .map(|(key, entry, _)| (key.clone(), entry.clone()))
            .collect();
        let [one] = &found[..] else {
            let how_many = if found.is_empty() { "no refusal" } else { "no single refusal" };
            return Err(Failure::new(format!("this names {how_many}; see `consilium consent suspended`")));
        };
        chosen.push(one.clone());
    }
    chosen.dedup_by(|one, other| one.0 == other.0);
    let count = chosen.len();
    for (key, entry) in chosen {
        let proof = said_at_the_desk("resume")?;
        books.write(Record::Left { key, seen: entry.seen, standing: Standing::Resumed, proof })?;
    }
    desk.end(&mut books, today()).await?;
    term::show(global.json, &json!({ "resumed": count }), |_| {
        format!(
            "{} lifted: what these patients had consented to before holds again",
            counted(count as u64, "suspension")
        )
    });
    Ok(())
}

fn is_meant(which: &str, key: &Key, entry: &Entry, suspension: &OnLedger) -> bool {
    let is_hexadecimal = which.len() >= 4 && which.bytes().all(|byte| byte.is_ascii_hexdigit());
    let document = suspension.document.to_string();
    (is_hexadecimal && document.starts_with(&which.to_lowercase()))
        || entry.seen.place == which
        || key.name.strip_prefix("id/") == Some(which)
}
