//! The program and the oracle, a million times.

use consilium_protocol::consent::{AllowedData, Domain, Label, Reason};

use super::draw::{DAYS, Dice, a_use, documents};
use super::oracle::{Dated, Oracle};
use super::world::{day, decide};

const PAIRS: usize = 1_000_000;

/// No date, and days before, on and after every end of a window that is drawn.
fn points() -> Vec<Dated> {
    let far = [i32::MIN, -1_000_000, 1_000_000, i32::MAX];
    let days = far.into_iter().chain(DAYS.start - 1..DAYS.end + 1);
    [Dated::Undated].into_iter().chain(days.map(Dated::On)).collect()
}

/// Compares what is open of a domain, point by point.
fn agrees(allowed: &AllowedData, domain: Domain, points: &[Dated], is_open: &[bool]) -> bool {
    let Some(opened) = allowed.of(domain) else { return !is_open.contains(&true) };
    let mut days = is_open[1..].iter();
    // A row whose day is unknown may be of any.
    let whole = opened.days.is_unbounded() == days.all(|open| *open);
    let mut each = points.iter().zip(is_open);
    !opened.is_empty()
        && whole
        && each.all(|(point, open)| match point {
            Dated::Undated => opened.undated == *open,
            Dated::On(on) => opened.days.contains(day(*on)) == *open,
        })
}

/// Of so many pairs how many are open, how many on all days of PERSON, how many under some labels alone, and how many a deny
/// closes.
#[derive(Debug, Default)]
struct Counts {
    open: usize,
    whole: usize,
    by_label: usize,
    denied: usize,
}

fn compare(seed: u64, pairs: usize) -> Counts {
    let (mut dice, points) = (Dice::new(seed), points());
    let mut counts = Counts::default();
    for pair in 0..pairs {
        let asked = a_use(&mut dice);
        let documents = documents(&mut dice, &asked);
        let decision = decide(&documents, &asked);
        let oracle = Oracle::new(&documents, &asked);
        let say = || format!("pair {pair} of {seed}: {documents:#?}\n{asked:#?}\n{decision:#?}");
        assert_eq!(decision.by_label.len(), Label::ALL.len());
        for domain in Domain::ALL {
            let mut under_each = vec![true; points.len()];
            for (label, allowed) in &decision.by_label {
                let is_open: Vec<bool> = points.iter().map(|point| oracle.is_open(domain, *label, *point)).collect();
                assert!(agrees(allowed, domain, &points, &is_open), "{domain} {label} of {}", say());
                under_each.iter_mut().zip(is_open).for_each(|(all, open)| *all &= open);
            }
            assert!(agrees(&decision.allowed, domain, &points, &under_each), "{domain} of {}", say());
        }
        assert_eq!(decision.conditions, oracle.conditions, "{}", say());
        assert_eq!(decision.obligations, oracle.obligations, "{}", say());
        let is_open = !decision.allowed.is_empty();
        assert_eq!(decision.why_not().is_none(), is_open, "{}", say());
        counts.open += usize::from(is_open);
        counts.whole += usize::from(decision.allowed.of(Domain::Person).is_some_and(|of| of.days.is_unbounded()));
        counts.by_label += usize::from(!is_open && decision.by_label.values().any(|of| !of.is_empty()));
        counts.denied += usize::from(decision.why_not() == Some(Reason::Denies));
    }
    counts
}

#[test]
fn what_is_open_is_what_one_rule_after_another_opens() {
    let halves = std::thread::scope(|scope| {
        let halves = [1, 2].map(|seed| scope.spawn(move || compare(seed, PAIRS / 2)));
        halves.map(|half| half.join().unwrap())
    });
    for counts in halves {
        println!("of {} pairs: {counts:?}", PAIRS / 2);
        assert!(counts.open > PAIRS / 10 && counts.open < PAIRS * 4 / 10, "{counts:?}");
        assert!(counts.by_label > PAIRS / 1000 && counts.denied > PAIRS / 50, "{counts:?}");
    }
}
