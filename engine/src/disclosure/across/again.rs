//! What a study asks again.
//!
//! What was released and is exactly as it was says nothing new, however near it is to itself, and neither does a sum of such. Everybody
//! derives from the ledger which sets of groups are made of groups that earlier studies released, with the same cohort and among the
//! same hospitals. Whether anybody in them has changed, each hospital knows for itself.

use consilium_protocol::study::{StudySpec, Variable};

use super::super::lattice::{Lattice, LatticeError};
use crate::cohort::depends_on_the_day;
use crate::guard::{BitRef, Gate, Gates, MAX_GATE_INPUTS, MAX_GROUPS};
use crate::statistics::{Axis, Block, Content, Layout, refinement};

/// An earlier guarded study whose result stood on the ledger, with the same hospitals, when the round was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeatable {
    /// The study.
    pub spec: StudySpec,
    /// Which of its sets of groups were released.
    pub released: Vec<bool>,
}

/// A set of groups all of which are known from earlier studies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    /// Its seed.
    pub(crate) seed: usize,
    /// Its groups of cells.
    pub(crate) groups: Vec<Known>,
}

/// A group of cells that earlier ones add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) group: usize,
    /// The earlier study, by its position.
    pub(crate) study: usize,
    /// The groups of cells there, of which no two have anybody in common. None where nobody can be in the group.
    pub(crate) parts: Vec<usize>,
}

/// The sets of groups that follow from what these released, of several the last; none where they cannot be compared beside the rest.
pub(in crate::disclosure) fn again(
    spec: &StudySpec,
    layout: &Layout,
    lattice: &Lattice,
    earlier: &[Repeatable],
) -> Vec<Again> {
    again_within(spec, (layout, lattice), earlier, MAX_GATE_INPUTS)
}

/// Likewise, with at most so many inputs of conditions.
fn again_within(
    spec: &StudySpec,
    (layout, lattice): (&Layout, &Lattice),
    earlier: &[Repeatable],
    most_inputs: usize,
) -> Vec<Again> {
    let found = all_again(spec, layout, lattice, earlier);
    // A study that was accepted by itself is not refused for what it repeats.
    let fits = |gates: Gates| gates.sets.iter().map(|gate| gate.inputs.len()).sum::<usize>() <= most_inputs;
    let fits_all = found.is_empty() || or_unchanged(spec, layout, lattice, &found).is_ok_and(fits);
    if fits_all { found } else { Vec::new() }
}

fn all_again(spec: &StudySpec, layout: &Layout, lattice: &Lattice, earlier: &[Repeatable]) -> Vec<Again> {
    let mut known: Vec<Option<Known>> = vec![None; lattice.padded.len()];
    for (study, other) in earlier.iter().enumerate() {
        let released = |seed: usize| other.released.get(seed) == Some(&true);
        for one in follows(spec, (layout, lattice), &other.spec, released) {
            let group = one.group;
            known[group] = Some(Known { study, ..one });
        }
    }
    let mut of_seed: Vec<Option<Vec<Known>>> = vec![Some(Vec::new()); lattice.gates.release.len()];
    for (padded, known) in lattice.padded.iter().zip(known) {
        match (&mut of_seed[padded.seed], known) {
            (Some(groups), Some(known)) => groups.push(known),
            (found, _) => *found = None,
        }
    }
    let more = MAX_GROUPS.saturating_sub(lattice.compared.numbers.len());
    let of_seed = of_seed.into_iter().enumerate();
    of_seed.filter_map(|(seed, groups)| Some(Again { seed, groups: groups? })).take(more).collect()
}

/// The groups of cells that groups of an earlier study add up to, where `released` says that its sets were.
fn follows(
    spec: &StudySpec,
    (layout, lattice): (&Layout, &Lattice),
    other: &StudySpec,
    released: impl Fn(usize) -> bool,
) -> Vec<Known> {
    // With another threshold, what passed then may be too small now. What depends on the day is another cohort every day.
    let is_same =
        other.cohort == spec.cohort && other.tables == spec.tables && other.min_joint_count == spec.min_joint_count;
    if !is_same || depends_on_the_day(&spec.cohort.sql) {
        return Vec::new();
    }
    let Ok(of_other) = Layout::of(other) else { return Vec::new() };
    let Ok(lattice_of_other) = Lattice::of(other, &of_other) else { return Vec::new() };
    let is_known = |group: usize| released(lattice_of_other.padded[group].seed);
    let mut found = Vec::new();
    for own in layout.all_blocks() {
        let mut parts: Vec<(Sources, Sources)> = vec![Default::default(); own.bundles.len()];
        for block in of_other.all_blocks() {
            let Some(places) = places(block, own) else { continue };
            let of_both = sums(spec, layout, own).zip(sums(other, &of_other, block));
            let is_same_sum = of_both.is_some_and(|(own, other)| own.0 == other.0 && (other.1 || !own.1));
            let mut of_block: Vec<(Sources, Sources)> = vec![(Some(Vec::new()), Some(Vec::new())); own.bundles.len()];
            for (position, place) in places.into_iter().enumerate() {
                let of = lattice_of_other.places[block.bundles.start + position];
                let (counts, sums) = &mut of_block[place];
                if !of.is_empty {
                    add(counts, Some(of.count).filter(|group| is_known(*group)));
                    add(sums, of.sums.filter(|group| is_same_sum && is_known(*group)));
                }
            }
            for (known, found) in parts.iter_mut().zip(of_block) {
                *known = (found.0.or(known.0.take()), found.1.filter(|_| is_same_sum).or(known.1.take()));
            }
        }
        for (bundle, (counts, sums)) in own.bundles.clone().zip(parts) {
            let places = lattice.places[bundle];
            let nobody = places.is_empty.then(Vec::new);
            let of_group = |group: usize, parts: Sources| Some(Known { group, study: 0, parts: parts? });
            found.extend(of_group(places.count, nobody.clone().or(counts)));
            found.extend(places.sums.and_then(|group| of_group(group, nobody.or(sums))));
        }
    }
    found
}

/// Groups of cells that add up to one; none where not all are known.
type Sources = Option<Vec<usize>>;

fn add(parts: &mut Sources, part: Option<usize>) {
    match (parts.as_mut(), part) {
        (Some(known), Some(part)) => known.push(part),
        _ => *parts = None,
    }
}

/// The variable whose sums a block has, if it has any, and whether squares are among them.
fn sums<'a>(spec: &'a StudySpec, layout: &Layout, block: &Block) -> Option<(&'a Variable, bool)> {
    let variable = spec.variable(spec.statistics[block.statistic].kind.variable()?)?;
    let contents = || layout.bundles()[block.bundles.clone()].iter().map(|bundle| bundle.content);
    let has_sums = contents().any(|content| content != Content::Count);
    has_sums.then(|| (variable, contents().any(|content| content == Content::Squares)))
}

/// For each group of a block the one of another block that it is within, if each is in one.
fn places(of: &Block, within: &Block) -> Option<Vec<usize>> {
    let mut axes: Vec<(usize, Vec<usize>)> = Vec::new();
    for axis in &within.axes {
        if axis.classes() == 1 {
            axes.push((0, vec![0; of.axes.first().map_or(1, Axis::classes)]));
            continue;
        }
        let at = of.axes.iter().position(|other| other.column == axis.column)?;
        axes.push((at, classes(&of.axes[at], axis)?));
    }
    let place = |position: usize| {
        let parts = of.parts_of(position);
        let class = |at: usize| parts.get(at).copied().unwrap_or(0);
        within.axes.iter().zip(&axes).fold(0, |place, (axis, (at, to))| place * axis.classes() + to[class(*at)])
    };
    Some((0..of.bundles.len()).map(place).collect())
}

/// For each group of an axis the one of another cut of the column that it is within, if each is in one.
fn classes(of: &Axis, within: &Axis) -> Option<Vec<usize>> {
    let classes =
        (0..within.classes()).flat_map(|class| within.parts_in(class).into_iter().map(move |part| (part, class)));
    let mut class_of = vec![0; within.parts.len()];
    classes.for_each(|(part, class)| class_of[part] = class);
    // What a list of values leaves over is within nothing of another list; lists are the same most often.
    let part_of = match of.parts == within.parts {
        true => (0..of.parts.len()).collect(),
        false => refinement(&of.parts, &within.parts)?,
    };
    let of_class = |class: usize| {
        let mut found = of.parts_in(class).into_iter().map(|part| class_of[part_of[part]]);
        let first = found.next()?;
        found.all(|other| other == first).then_some(first)
    };
    (0..of.classes()).map(of_class).collect()
}

/// The conditions of release, of so many numbers, where what is asked for again may also be unchanged: a set is released, and what
/// waits for its groups may be, when its own bit is 1 or nobody says of it that it has changed.
///
/// # Errors
/// [`LatticeError`] when the study cannot be guarded.
pub(in crate::disclosure) fn or_unchanged(
    spec: &StudySpec,
    layout: &Layout,
    lattice: &Lattice,
    again: &[Again],
) -> Result<Gates, LatticeError> {
    let numbers = lattice.compared.numbers.len();
    let unchanged = (numbers..).zip(again).map(|(number, again)| (again.seed, BitRef::Nobody(number)));
    let mut gates = lattice.gates_where_known(spec, layout, &unchanged.clone().collect::<Vec<_>>())?;
    for (seed, bit) in unchanged {
        gates.sets.push(Gate::any(vec![gates.release[seed], bit]));
        gates.release[seed] = BitRef::Set(gates.sets.len() - 1);
    }
    Ok(gates)
}

/// The statistics of a guarded study all of whose groups follow from what an earlier one released, by name.
pub fn statistics_again(spec: &StudySpec, earlier: &Repeatable) -> Vec<String> {
    let Ok(layout) = Layout::of(spec) else { return Vec::new() };
    let Ok(lattice) = Lattice::of(spec, &layout) else { return Vec::new() };
    let known: std::collections::BTreeSet<usize> =
        follows(spec, (&layout, &lattice), &earlier.spec, |seed| earlier.released.get(seed) == Some(&true))
            .into_iter()
            .map(|known| known.group)
            .collect();
    let of = layout.blocks().iter().filter(|block| {
        block.bundles.clone().all(|bundle| {
            let places = lattice.places[bundle];
            known.contains(&places.count) && places.sums.is_none_or(|sums| known.contains(&sums))
        })
    });
    of.map(|block| spec.statistics[block.statistic].name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::lattice::oracle::{COUNT, statistic, study};
    use super::*;

    const CROSSTAB: &str = "kind = \"crosstab\"";
    const SUM: &str = "kind = \"sum\"\nof = \"x\"";

    fn all(spec: StudySpec) -> Repeatable {
        let lattice = lattice(&spec).1;
        Repeatable { spec, released: vec![true; lattice.gates.release.len()] }
    }

    fn lattice(spec: &StudySpec) -> (Layout, Lattice) {
        let layout = Layout::of(spec).expect("a valid study");
        let lattice = Lattice::of(spec, &layout).expect("a study that can be guarded");
        (layout, lattice)
    }

    fn again_of(spec: &StudySpec, earlier: &[Repeatable]) -> Vec<Again> {
        let (layout, lattice) = lattice(spec);
        again(spec, &layout, &lattice, earlier)
    }

    #[test]
    fn what_would_be_too_much_beside_the_rest_is_not_asked_again() {
        let table = all(study(30, &statistic("t", CROSSTAB, &["g", "h"])));
        let (layout, lattice) = lattice(&table.spec);
        let earlier = std::slice::from_ref(&table);
        let all = again(&table.spec, &layout, &lattice, earlier);
        assert!(!all.is_empty());
        let gates = or_unchanged(&table.spec, &layout, &lattice, &all).expect("as before");
        let inputs = gates.sets.iter().map(|gate| gate.inputs.len()).sum();
        assert_eq!(again_within(&table.spec, (&layout, &lattice), earlier, inputs), all);
        assert_eq!(again_within(&table.spec, (&layout, &lattice), earlier, inputs - 1), []);
    }

    #[test]
    fn what_groups_that_were_released_add_up_to_is_known() {
        let table = all(study(30, &statistic("t", CROSSTAB, &["g", "h"])));
        let own = study(30, &(statistic("a", COUNT, &["g"]) + &statistic("b", COUNT, &["h"])));
        let known = again_of(&own, std::slice::from_ref(&table));
        assert_eq!(known.len(), lattice(&own).1.gates.release.len(), "the total, both columns, and coarser ones of h");
        assert_eq!(statistics_again(&own, &table), ["a", "b"]);
        // Where one part of it is hidden, a sum is not known.
        let sets = table.released.len();
        for hidden in 0..sets {
            let released = (0..sets).map(|set| set != hidden).collect();
            let known = again_of(&own, &[Repeatable { spec: table.spec.clone(), released }]);
            // Of sums that can be made otherwise still more are known; none is made of what is hidden.
            let before = lattice(&table.spec).1;
            let parts = known.iter().flat_map(|again| &again.groups).flat_map(|known| &known.parts);
            let mut seeds = parts.map(|part| before.padded[*part].seed);
            assert!(seeds.all(|seed| seed != hidden), "set {hidden}");
        }
        let finest = lattice(&table.spec).1.padded[0].seed;
        let released = (0..sets).map(|set| set == finest).collect();
        let by_finest = again_of(&own, &[Repeatable { spec: table.spec.clone(), released }]);
        assert!(by_finest.len() < known.len(), "some need more than the finest table's first set");
        let nothing = Repeatable { spec: table.spec.clone(), released: vec![false; sets] };
        assert!(statistics_again(&own, &nothing).is_empty());
        assert_eq!(again_of(&own, &[nothing]), []);
        // Not the other way round, not by a new column, not by another cohort or threshold.
        let finer = study(30, &statistic("t", CROSSTAB, &["g", "m"]));
        assert!(statistics_again(&finer, &table).is_empty());
        assert!(statistics_again(&table.spec, &all(own.clone())).is_empty());
        let mut other = own.clone();
        other.min_joint_count = 12;
        assert_eq!(again_of(&other, std::slice::from_ref(&table)), []);
        let mut other = own.clone();
        other.cohort.sql.push(' ');
        assert_eq!(again_of(&other, std::slice::from_ref(&table)), []);
        // Of another day the same words are another question.
        let dated = |mut spec: StudySpec| {
            spec.cohort.sql = spec.cohort.sql.replacen("SELECT ", "SELECT as_of() AS today, ", 1);
            spec
        };
        let of_a_day = all(dated(table.spec.clone()));
        assert_ne!(of_a_day.spec, table.spec);
        assert_eq!(again_of(&dated(own), &[of_a_day]), []);
    }

    #[test]
    fn sums_are_known_from_sums_of_the_same() {
        let earlier = all(study(30, &statistic("v", "kind = \"variance\"\nof = \"x\"", &["g"])));
        let own = study(30, &statistic("s", SUM, &[]));
        assert_eq!(statistics_again(&own, &earlier), ["s"]);
        assert!(statistics_again(&earlier.spec, &all(own.clone())).is_empty());
        let squares = study(30, &statistic("s", "kind = \"variance\"\nof = \"x\"", &[]));
        let of_sums = study(30, &statistic("v", "kind = \"mean\"\nof = \"x\"", &["g"]));
        assert!(statistics_again(&squares, &all(of_sums)).is_empty());
        assert_eq!(statistics_again(&squares, &earlier), ["s"]);
        // Other bounds clamp otherwise.
        let wider = study(31, &statistic("s", SUM, &[]));
        assert!(statistics_again(&wider, &earlier).is_empty());
    }

    #[test]
    fn intervals_are_known_from_narrower_ones() {
        let of = |edges: &str| {
            let text = format!(
                "version = 1\ntitle = \"T\"\ndescription = \"D\"\npurpose = \"HMB\"\ndeclares = []\nprotection = \"guarded\"\n\
                 [cohort]\nsql = \"SELECT person_id AS id, year_of_birth AS h FROM person\"\nsubject = \"id\"\n\
                 [[dimension]]\nname = \"h\"\n{edges}\n{}",
                statistic("t", COUNT, &["h"])
            );
            StudySpec::from_toml(&text).unwrap_or_else(|error| panic!("{error}"))
        };
        let (fine, coarse) = (of("edges = [1, 2, 3, 4]"), of("edges = [1, 3, 4]"));
        assert_ne!(fine, coarse);
        assert_eq!(statistics_again(&coarse, &all(fine.clone())), ["t"]);
        assert!(statistics_again(&fine, &all(coarse.clone())).is_empty());
        assert!(statistics_again(&of("edges = [1, 2.5, 4]"), &all(fine.clone())).is_empty());
    }

    #[test]
    fn a_known_sum_tells_nothing_of_the_counts_that_it_waits_for() {
        // Of a variable of 0 and 1 the sum waits for counts by value, and so does the table by value and g: with the same bit.
        let own = study(1, &(statistic("s", SUM, &[]) + &statistic("t", CROSSTAB, &["x", "g"])));
        let (layout, lattice) = lattice(&own);
        // Nothing but the sum was released.
        let spec = study(1, &statistic("s", SUM, &[]));
        let before = self::lattice(&spec).1;
        let of_sum = before.padded[before.places[0].sums.expect("a sum")].seed;
        let released = (0..before.gates.release.len()).map(|seed| seed == of_sum).collect();
        let known = again(&own, &layout, &lattice, &[Repeatable { spec, released }]);
        assert_eq!(known.len(), 1);
        let gates = or_unchanged(&own, &layout, &lattice, &known).expect("as before");
        let numbers = lattice.compared.numbers.len();
        let sum = lattice.padded[lattice.places[0].sums.expect("a sum")].seed;
        // Nothing has changed that is known, and one of the numbers does not pass.
        for hidden in 0..numbers {
            let passes: Vec<bool> = (0..numbers + known.len()).map(|number| number != hidden).collect();
            let large: Vec<bool> = passes.iter().enumerate().map(|(at, passes)| at < numbers && *passes).collect();
            let mut without = lattice.gates.evaluate(&passes, &large);
            let with = gates.evaluate(&passes, &large);
            assert!(with[sum], "unchanged");
            without[sum] = true;
            assert_eq!(with, without, "number {hidden}");
        }
    }

    #[test]
    fn what_waits_for_a_group_that_is_known_may_go_on() {
        let own = study(30, &(statistic("a", COUNT, &["g"]) + &statistic("b", CROSSTAB, &["g", "h"])));
        let (layout, lattice) = lattice(&own);
        let earlier = all(study(30, &statistic("a", COUNT, &["g"])));
        let known = again(&own, &layout, &lattice, &[earlier]);
        let gates = or_unchanged(&own, &layout, &lattice, &known).expect("as before");
        let numbers = lattice.compared.numbers.len();
        // Nothing has changed that is known, and one number does not pass.
        let goes_on = (0..numbers).filter(|hidden| {
            let passes: Vec<bool> = (0..numbers + known.len()).map(|number| number != *hidden).collect();
            let large: Vec<bool> = passes.iter().enumerate().map(|(at, passes)| at < numbers && *passes).collect();
            let with = gates.evaluate(&passes, &large);
            let mut without = lattice.gates.evaluate(&passes, &large);
            known.iter().for_each(|again| without[again.seed] = true);
            assert!(with.iter().zip(&without).all(|(with, without)| with >= without));
            with != without
        });
        assert!(goes_on.count() > 0, "the table goes on where a group of g, which is known, does not pass now");
    }
}
