//! Nodes that are killed at any instant lose nothing that was acknowledged, and end up agreeing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use consilium_ledger::audit::Auditor;
use consilium_ledger::block::Block;
use consilium_ledger::certificate::Certificate;
use consilium_ledger::state::consent::SubjectKey;
use consilium_protocol::ids::SubjectId;
use consilium_protocol::tx::Payload;
use consilium_protocol::wallet::Wallet;
use consilium_protocol::wire;

use crate::support::{QUICK, World, alone, research};

const KILLS: usize = 25;

#[test]
fn nodes_killed_in_turn_lose_and_double_no_acknowledged_grant() {
    alone(async || {
        let mut world = World::found(400, QUICK)?;
        world.start(&[0, 1, 2, 3]).await?;
        let wallets: Vec<Wallet> = world.persons[0].iter().map(|_| Wallet::generate()).collect::<Result<_, _>>()?;
        let persons: Vec<_> = world.persons[0].iter().copied().zip(wallets.iter().map(Some)).collect();
        world.consortium.enrol(0, &persons).await?;
        let link = world.consortium.link(0)?;

        // Patients grant one after another while nodes are killed in turn.
        let mut acknowledged: BTreeMap<SubjectId, u64> = BTreeMap::new();
        let mut waiting = persons.iter();
        for kill in 0..KILLS {
            let victim = kill % 4;
            let through = (victim + 1) % 4;
            let node = world.consortium.node(through).await?;
            for (grant, (person, wallet)) in waiting.by_ref().take(8).enumerate() {
                let subject = link.subject(*person);
                if grant == 2 {
                    world.consortium.kill(victim).await?;
                }
                if grant == 5 {
                    world.consortium.start(victim)?;
                }
                if let Ok(included) = world.consortium.grant(&node, 0, wallet.unwrap(), subject, research()).await {
                    acknowledged.insert(subject, included.height.get());
                }
            }
            world.consortium.wait_ready(victim, Duration::from_secs(60)).await?;
        }
        assert!(acknowledged.len() > KILLS * 4, "only {} grants were acknowledged", acknowledged.len());

        // All nodes end at the same state.
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let mut states = Vec::new();
            for position in 0..4 {
                let node = world.consortium.node(position).await?;
                let status = node.ledger().status(wire::StatusRequest {}).await?.into_inner();
                states.push((status.height, status.app_hash));
            }
            if states.windows(2).all(|pair| pair[0] == pair[1]) {
                break;
            }
            let same_height = states.windows(2).all(|pair| pair[0].0 == pair[1].0);
            assert!(!same_height, "nodes at the same height disagree");
            assert!(Instant::now() < deadline, "the nodes do not come to the same height: {states:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }

        // The ledger of every node holds each acknowledged grant exactly once, in the block that was named.
        let hospital = world.consortium.hospitals[0].member.id;
        for position in 0..4 {
            let node = world.consortium.node(position).await?;
            let mut blocks = node.ledger().export(wire::ExportRequest { from_height: 1 }).await?.into_inner();
            let mut auditor = Auditor::new(&world.consortium.genesis, None);
            let mut granted: BTreeMap<SubjectId, Vec<u64>> = BTreeMap::new();
            while let Some(exported) = blocks.message().await? {
                let block = Block::decode(&exported.block)?;
                auditor.feed(&block, &Certificate::decode(&exported.certificate)?)?;
                for tx in &block.txs {
                    if let Payload::Grant(grant) = tx.decode_body()?.payload {
                        let height = block.header.height.get();
                        grant.forms.iter().for_each(|f| granted.entry(f.subject).or_default().push(height));
                    }
                }
            }
            for (subject, height) in &acknowledged {
                assert_eq!(granted.get(subject), Some(&vec![*height]), "at node {position}");
                let key = SubjectKey { hospital, subject: *subject };
                assert_eq!(auditor.state().subject(&key).map(|s| s.current().count()), Some(1));
            }
        }
        Ok(())
    });
}
