//! What every language has to say, and how.

mod draw;
mod english;
mod golden;
mod keys;
mod notes;
mod random;

use consilium_protocol::consent::{Action, Base, Domain, Effect, Purpose, Rule, Scope, Terms, Window};
use consilium_protocol::ids::HospitalId;

use super::{Language, Teller};

fn window(from: &str, to: &str) -> Window {
    let date = |text: &str| (!text.is_empty()).then(|| text.parse().expect("a date"));
    Window { from: date(from), to: date(to) }
}

fn since() -> Window {
    window("2020-09-01", "")
}

fn rule(effect: Effect, data: &[Domain], window: Window) -> Rule {
    let data = if data.is_empty() { Scope::Any } else { Scope::Only(data.to_vec()) };
    Rule { data, window, ..Rule::new(effect, Action::Aggregate, Scope::Only(vec![Purpose::HealthResearch])) }
}

fn permit(data: &[Domain], window: Window) -> Rule {
    rule(Effect::Permit, data, window)
}

fn deny(data: &[Domain], window: Window) -> Rule {
    rule(Effect::Deny, data, window)
}

fn terms(base: Base, rules: Vec<Rule>) -> Terms {
    Terms { base, ..Terms::opt_in(rules) }
}

fn north() -> HospitalId {
    HospitalId::from_public_key([1; 32])
}

fn teller(language: Language) -> Teller {
    Teller::of(language, &crate::vocabulary::diseases(), [(north(), "North Clinic".to_string())])
}
