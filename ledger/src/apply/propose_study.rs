//! An accredited researcher asks for a study.

use consilium_protocol::privacy::{MicroRho, most_rho};
use consilium_protocol::study::key::is_study_key;
use consilium_protocol::study::{StudySpec, study_id};
use consilium_protocol::tx::ProposeStudy;

use super::{Context, Outcome};
use crate::event::Event;
use crate::rejection::{Rejection, SpecFault};
use crate::state::members::majority;
use crate::state::study::{Course, Proposal};

/// The most that a study may lose, so that enough members can still take part.
fn privacy_left(context: &Context<'_>) -> MicroRho {
    let state = &*context.state;
    let mut left: Vec<MicroRho> = state.members().iter().map(|member| state.privacy_left(&member.id)).collect();
    left.sort_unstable_by(|a, b| b.cmp(a));
    let needed = majority(left.len()).max(state.genesis().policy.min_hospitals as usize);
    left.get(needed - 1).copied().unwrap_or_default()
}

pub(super) fn apply(context: &mut Context<'_>, payload: ProposeStudy) -> Outcome {
    let researcher = context.researcher()?;
    let spec = StudySpec::from_canonical(&payload.spec).map_err(|error| Rejection::Spec(SpecFault::from(&error)))?;
    // Bytes that decode to the same study but are written otherwise would give one study two names.
    if spec.to_canonical() != payload.spec {
        return Err(Rejection::Spec(SpecFault::Malformed));
    }
    // What a table means was agreed on once, for all.
    if spec.tables.iter().any(|table| !context.state.genesis().table.contains(table)) {
        return Err(Rejection::Spec(SpecFault::Catalogue));
    }
    if !is_study_key(&payload.public_key) || !payload.sealing_key.is_valid() {
        return Err(Rejection::StudyKey);
    }
    let policy = context.state.genesis().policy;
    if !policy.allows(&spec.protection) {
        return Err(Rejection::OpenStudiesForbidden);
    }
    let (asked, left) = (spec.protection.loss(), privacy_left(context));
    if asked > left {
        return Err(Rejection::PrivacyBudget { asked, left });
    }
    // Fewer hospitals than all can share out more; a study must not come to depend on who stays away.
    let most = most_rho(spec.statistics.len(), context.members());
    if asked > most {
        return Err(Rejection::RhoTooLarge { asked, most });
    }
    let quota = policy.studies_per_researcher;
    if context.state.studies_of(&researcher, context.moment.time) >= quota {
        return Err(Rejection::Quota { quota, days: policy.quota_days });
    }
    let sealing_key = payload.sealing_key;
    let study = study_id(context.state.ledger_id(), &researcher, &payload.spec, &payload.public_key, &sealing_key);
    if context.state.study(&study).is_some() {
        return Err(Rejection::StudyExists { study });
    }

    let proposal = Proposal { researcher, spec, public_key: payload.public_key, sealing_key, proposed: context.moment };
    context.state.proposals.put(study, proposal);
    context.state.put_course(study, Course::new());
    context.state.count(|figures| figures.studies += 1);
    context.events.push(Event::StudyProposed { study, researcher });
    Ok(())
}
