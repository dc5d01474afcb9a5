//! An accredited researcher asks for a study.

use consilium_protocol::study::{StudySpec, study_id};
use consilium_protocol::tx::{MAX_STUDY_KEY_BYTES, ProposeStudy};

use super::{Context, Outcome};
use crate::event::Event;
use crate::rejection::{Rejection, SpecFault};
use crate::state::study::{Course, Proposal};

pub(super) fn apply(context: &mut Context<'_>, payload: ProposeStudy) -> Outcome {
    let researcher = context.researcher()?;
    let spec = StudySpec::from_canonical(&payload.spec).map_err(|error| Rejection::Spec(SpecFault::from(&error)))?;
    // Bytes that decode to the same study but are written otherwise would give one study two names.
    if spec.to_canonical() != payload.spec {
        return Err(Rejection::Spec(SpecFault::Malformed));
    }
    if !(1..=MAX_STUDY_KEY_BYTES).contains(&payload.public_key.len()) {
        return Err(Rejection::StudyKey);
    }
    let study = study_id(context.state.chain_id(), &researcher, &payload.spec, &payload.public_key);
    if context.state.study(&study).is_some() {
        return Err(Rejection::StudyExists { study });
    }

    let proposal = Proposal { researcher, spec, public_key: payload.public_key, proposed: context.moment };
    context.state.proposals.put(study, proposal);
    context.state.put_course(study, Course::new());
    context.state.count(|figures| figures.studies += 1);
    context.events.push(Event::StudyProposed { study, researcher });
    Ok(())
}
