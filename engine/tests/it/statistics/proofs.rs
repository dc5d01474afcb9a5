//! What is derived from a study alone: its layout, and that nothing overflows.

use consilium_engine::statistics::{Layout, Part, StatisticsError, prove_bounds};
use consilium_protocol::hash::tagged;
use consilium_protocol::study::{Decimal, StudySpec};

use super::cohorts::{KINDS, study};

/// One line per bundle: where it is, what it holds, whom it is about.
fn description(layout: &Layout) -> String {
    let mut lines = String::new();
    for block in layout.blocks() {
        for (position, bundle) in layout.bundles()[block.bundles.clone()].iter().enumerate() {
            let parts = block.parts_of(position);
            let labels =
                block.axes.iter().zip(parts).map(|(axis, part)| format!("{}={}", axis.column, axis.labels[part]));
            let labels = labels.collect::<Vec<_>>().join(" ");
            let (statistic, first, content) = (block.statistic, bundle.first_cell, bundle.content);
            lines.push_str(&format!("{statistic} {first} {content:?} {labels}\n"));
        }
    }
    lines
}

#[test]
fn the_layout_is_what_it_always_was() {
    let layout = Layout::of(&study(&[("count", vec![]), ("variance bmi", vec!["sex"])])).expect("a valid study");
    let expected = "0 0 Count \n\
                    1 2 Squares sex=f bmi=present\n1 6 Count sex=f bmi=missing\n\
                    1 8 Squares sex=m bmi=present\n1 12 Count sex=m bmi=missing\n\
                    1 14 Squares sex=other bmi=present\n1 18 Count sex=other bmi=missing\n\
                    1 20 Squares sex=missing bmi=present\n1 24 Count sex=missing bmi=missing\n";
    assert_eq!((description(&layout).as_str(), layout.cells()), (expected, 26));

    let mut all: Vec<_> = KINDS.iter().map(|kind| (*kind, vec!["sex", "age"])).collect();
    all.push(("crosstab", vec!["ward", "smoker", "age"]));
    let layout = Layout::of(&study(&all)).expect("a valid study");
    let digest = tagged("layout", &[description(&layout).as_bytes()]);
    let hex: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    // Hospitals of one round must agree on this: a change is a new version of the study format.
    assert_eq!((layout.cells(), layout.bundles().len(), hex.as_str()), (1340, 600, "f7316cf1e38fd5dc"));
}

#[test]
fn cells_are_contiguous_and_every_bundle_ends_with_withheld() {
    let all: Vec<_> = KINDS.iter().map(|kind| (*kind, vec!["ward", "sex"])).collect();
    let layout = Layout::of(&study(&all)).expect("a valid study");
    let mut next = 0;
    for bundle in layout.bundles() {
        assert_eq!(bundle.cells().start, next);
        next = bundle.cells().end;
        assert_eq!(bundle.withheld(), next - 1);
    }
    assert_eq!(next, layout.cells());
    let axis = &layout.blocks()[0].axes[0];
    assert_eq!(axis.parts[axis.parts.len() - 2..], [Part::Other, Part::Missing]);
}

/// A study of one statistic over a variable from 0 to `max` in steps of 1.
fn ranging(kind: &str, max: i64) -> StudySpec {
    let mut spec = study(&[(kind, vec![])]);
    spec.variables[2].max = Decimal::new(max, 0).expect("a whole number");
    spec
}

fn proved(spec: &StudySpec, subjects: u64) -> Result<(), StatisticsError> {
    prove_bounds(spec, &Layout::of(spec).expect("a valid study"), subjects)
}

#[test]
fn sums_are_proved_up_to_the_bound_and_no_further() {
    for (kind, max, most) in [
        ("count", 20, 1u64 << 62),
        ("sum visits", 1 << 20, 1 << 42),
        ("mean visits", 1 << 31, 1 << 31),
        ("variance visits", 1 << 19, 1 << 24),
        ("variance visits", 1 << 31, 1),
    ] {
        let spec = ranging(kind, max);
        assert_eq!(proved(&spec, most), Ok(()), "{kind} {max}");
        let statistic = spec.statistics[0].name.clone();
        assert_eq!(proved(&spec, most + 1), Err(StatisticsError::Overflow { statistic }), "{kind} {max}");
    }
    assert!(proved(&ranging("variance visits", (1 << 19) + 1), 1 << 24).is_err());
}

#[test]
fn the_refusal_names_the_statistic_and_the_remedy() {
    let refused = proved(&ranging("variance visits", 1 << 31), 1 << 24).expect_err("too many");
    let text = refused.to_string();
    assert!(text.contains("`variance 0`") && text.contains("coarser resolution"), "{text}");
}
