//! A contribution leaves at the end of a whole slot after its round opened, however long it took.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;

use consilium::cli::{Failure, propose};
use consilium::demo::acts::follow;
use consilium::net::client::Node;
use consilium_ledger::block::Block;
use consilium_protocol::ids::StudyId;
use consilium_protocol::wire;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::support::{QUICK, World, alone, assert_phase, headcount};

const SLOT_SECONDS: u32 = 3;
/// Studies in which one patient's row fails or delays; the nightly tests take 200.
const ROUNDS: usize = 6;
/// From the end of a slot until a block carries what left then.
const UNTIL_A_BLOCK_MS: u64 = 1_500;

const EVERYBODY: &str = "SELECT person_id, gender_concept_id AS sex, year_of_birth FROM person";

/// What tells one person of a hospital apart: year and month of birth.
type Someone = (i64, i64);

/// Somebody who shares neither with another.
fn someone(store: &Path) -> Option<Someone> {
    let file = File::open(store.join("PERSON.parquet")).unwrap();
    let mut born: BTreeMap<Someone, usize> = BTreeMap::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().clone();
        for (year, month) in column("year_of_birth").iter().zip(&column("month_of_birth")) {
            *born.entry((year?, month.unwrap_or(0))).or_default() += 1;
        }
    }
    born.into_iter().find(|((_, month), count)| *month > 0 && *count == 1).map(|(someone, _)| someone)
}

/// Queries that fail elsewhere, or take long, for one person; without that person they are the same for all.
fn about((year, month): Someone, round: usize) -> String {
    let is_it = format!("p.year_of_birth = {year} AND p.month_of_birth = {month}");
    let value = match round % 5 {
        0 => format!("1900 + 1 / (CASE WHEN {is_it} THEN 0 ELSE 1 END)"),
        1 => format!("CAST(CASE WHEN {is_it} THEN 'x' ELSE '1931' END AS BIGINT)"),
        2 => format!("1931 + (CASE WHEN {is_it} THEN 9223372036854775807 ELSE 0 END) * 2"),
        3 => format!("CAST(1931 + ln(CASE WHEN {is_it} THEN -1 ELSE 1 END) AS BIGINT)"),
        // Each of a patient's measurements with each other, four times over.
        _ => {
            let with = |t: &str| format!("JOIN measurement {t} ON {t}.person_id = p.person_id ");
            return format!(
                "SELECT q.person_id, q.gender_concept_id AS sex, coalesce(v.n, 0) + q.year_of_birth AS year_of_birth \
                 FROM person q LEFT JOIN (SELECT p.person_id, count(*) % 2 AS n FROM person p {}{}{}{}WHERE {is_it} \
                 GROUP BY p.person_id) v ON v.person_id = q.person_id",
                with("a"),
                with("b"),
                with("c"),
                with("d"),
            );
        }
    };
    format!("SELECT p.person_id, p.gender_concept_id AS sex, {value} AS year_of_birth FROM person p")
}

/// Has the study approved by everybody.
async fn approved(world: &World, node: &Node, sql: &str) -> Result<StudyId, Failure> {
    let mut spec = headcount();
    spec.cohort.sql = sql.to_string();
    let study = propose(&world.researcher, node, &spec).await?.0;
    for position in 0..4 {
        world.consortium.approve(position, study).await?;
    }
    Ok(study)
}

/// After how many slots each hospital's commitment stands on the ledger, and how many milliseconds after the slot's end.
async fn slots(world: &World, node: &Node, study: &StudyId, seconds: u32) -> Result<Vec<(u64, u64)>, Failure> {
    let reply = follow(node, study, Duration::from_secs(60)).await?;
    assert_phase(&reply, "released");
    let round = &reply.rounds[0];
    let mut times = BTreeMap::new();
    let mut blocks = node.ledger().export(wire::ExportRequest { from_height: round.height }).await?.into_inner();
    while let Some(exported) = blocks.message().await? {
        let header = Block::decode(&exported.block)?.header;
        times.insert(header.height.get(), header.time.get());
    }
    let slot_ms = u64::from(seconds) * 1_000;
    let of = |hospital: usize| {
        let name = world.consortium.hospitals[hospital].member.id.to_string();
        let commitment = round.contributions.iter().find(|c| c.hospital == name).unwrap();
        let after = times[&commitment.height] - round.time_ms;
        (after / slot_ms, after % slot_ms)
    };
    Ok((0..4).map(of).collect())
}

#[test]
fn commits_stand_on_the_ledger_right_after_a_slot_has_ended() {
    alone(async || {
        let deadlines = consilium_protocol::genesis::Deadlines { round_ms: 60_000, ..QUICK };
        let mut world = World::found_with([3_000, 60, 60, 60], deadlines, SLOT_SECONDS)?;
        world.open().await?;
        let node = world.node().await?;

        // One hospital has fifty times the rows of the others, and commits with them.
        let study = approved(&world, &node, EVERYBODY).await?;
        for (slot, late_ms) in slots(&world, &node, &study, SLOT_SECONDS).await? {
            assert_eq!(slot, 1);
            assert!(late_ms < UNTIL_A_BLOCK_MS, "{late_ms} ms");
        }

        // What is on disk already waits for the end of a slot, too: a node is killed when it has computed, and started again.
        let study = approved(&world, &node, &format!("{EVERYBODY} WHERE gender_concept_id = 8532")).await?;
        let computed = world.consortium.hospitals[2].home.join(format!("rounds/{study}-0.contribution"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !computed.exists() {
            assert!(Instant::now() < deadline, "nothing is computed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        world.consortium.kill(2).await?;
        let bytes = std::fs::read(&computed)?;
        // Well into a later slot.
        tokio::time::sleep(Duration::from_millis(u64::from(SLOT_SECONDS) * 1_500)).await;
        world.start(&[2]).await?;
        // The others' blocks may have waited for the proposer that was down.
        let (slot, late_ms) = slots(&world, &node, &study, SLOT_SECONDS).await?[2];
        assert!(slot >= 2, "{slot}");
        assert!(late_ms < UNTIL_A_BLOCK_MS, "{late_ms} ms");
        assert_eq!(std::fs::read(&computed)?, bytes, "it is made once");
        Ok(())
    });
}

/// What one patient's row does to a query moves nothing that others see: whether the hospital contributes, and after how
/// many slots. What would double a patient is refused before it is computed, with and without that patient.
#[test]
fn one_patient_s_row_does_not_move_a_commit() {
    alone(async || {
        let deadlines = consilium_protocol::genesis::Deadlines { round_ms: 60_000, ..QUICK };
        let mut world = World::found_with([300, 60, 60, 60], deadlines, 2)?;
        world.open().await?;
        let node = world.node().await?;
        let rounds = std::env::var("CONSILIUM_SLOT_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
        let patient = someone(&world.consortium.hospitals[0].store).unwrap();
        let nobody = (1_800, 1);
        let mut moved = Vec::new();
        for round in 0..rounds {
            // Now and then the same without the patient.
            for person in [patient, nobody].into_iter().take(if round % 10 < 5 { 2 } else { 1 }) {
                let study = approved(&world, &node, &about(person, round)).await?;
                let slots: Vec<u64> =
                    slots(&world, &node, &study, 2).await?.into_iter().map(|(slot, _)| slot).collect();
                if slots != [1; 4] {
                    moved.push((round, person == patient, slots));
                }
            }
        }
        eprintln!("{rounds} rounds about one patient, {} of all moved: {moved:?}", moved.len());
        assert_eq!(moved, []);
        Ok(())
    });
}
