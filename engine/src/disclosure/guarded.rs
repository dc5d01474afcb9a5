//! Guarded studies: what is compared with the threshold under encryption, and what of the result may be read.
//!
//! [`plan`] compiles a study into numbers, groups of cells and the conditions of their release ([`lattice`](super::lattice));
//! hospitals, aggregator, custodian and researcher derive the same from the study and the policy. [`release`] turns the
//! groups that passed into a result: the others were never opened, so it has nothing to decide about them, only to say
//! that they are suppressed and by which rule.

use std::collections::BTreeSet;

use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::study::{Protection, StudySpec};

use super::across::{Repeatable, again, or_unchanged};
use super::lattice::{Lattice, LatticeError};
use super::suppression::Counts;
use super::{DisclosureError, Released, Rule, check_frame, lines, sound};
use crate::guard::{Bar, BitRef, GuardShape, GuardedCells, Padded, ShapeError};
use crate::result::StudyResult;
use crate::statistics::{Compared, Layout, StatisticsError};

/// What is computed under encryption for a guarded study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardPlan {
    /// Hospitals, threshold, numbers, and conditions of release.
    pub shape: GuardShape,
    /// The groups of cells, each with its seed.
    pub groups: Vec<Padded>,
    lattice: Lattice,
}

/// Why a study cannot be guarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GuardPlanError {
    /// The study breaks a rule of its own.
    #[error(transparent)]
    Study(#[from] StatisticsError),
    /// What the study asks for cannot be kept apart.
    #[error(transparent)]
    Lattice(#[from] LatticeError),
    /// Threshold, roster or groups are beyond what can be computed.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

impl GuardPlan {
    /// For each statistic the columns that it has in common with others: its groups are shown class by class of these, and only
    /// where those are.
    pub fn waits_for(&self) -> &[Vec<String>] {
        &self.lattice.waits_for
    }

    /// Whether statistics are in a ring, so that they are shown together or not at all.
    pub fn is_tied(&self) -> bool {
        self.lattice.is_tied
    }

    /// How many seeds are sealed: each releases groups that are shown together.
    pub fn sealed(&self) -> usize {
        self.shape.seeds()
    }

    /// How many groups are compared with the threshold.
    pub fn compared(&self) -> usize {
        self.shape.groups()
    }

    /// Which groups of cells are released when these numbers pass the bar, and these by their size: the circuit in the clear, for
    /// tests and explanations.
    pub fn released(&self, passes: &[bool], large: &[bool]) -> Vec<bool> {
        let seeds = self.shape.gates().evaluate(passes, large);
        self.groups.iter().map(|group| seeds[group.seed]).collect()
    }

    /// The rules that suppress the count and the sums of a bundle which were not released.
    fn rules(&self, bundle: usize, is_shown: impl Fn(usize) -> bool) -> (Option<Rule>, Option<Rule>) {
        let places = self.lattice.places[bundle];
        let alone = if places.stands_alone { Rule::SmallCount } else { Rule::SmallCountOrPart };
        let count = (!is_shown(places.count)).then_some(alone);
        let sums = match places.sums {
            Some(sums) => (!is_shown(sums)).then_some(count.unwrap_or(Rule::LittleSpread)),
            None => count,
        };
        (count, sums)
    }
}

/// What a guarded study compares with the threshold, which follows from the study and those that it may repeat; nothing for
/// another study.
///
/// # Errors
/// [`LatticeError`] when the study cannot be guarded.
pub fn compared(spec: &StudySpec, layout: &Layout, repeatable: &[Repeatable]) -> Result<Compared, LatticeError> {
    match spec.protection {
        Protection::Guarded => {
            let lattice = Lattice::of(spec, layout)?;
            let again = again(spec, layout, &lattice, repeatable).len();
            Ok(Compared { again, ..lattice.compared })
        }
        Protection::Open | Protection::Private { .. } => Ok(Compared::default()),
    }
}

/// Which sets of groups of a guarded study were released, as its custodian said on the ledger: one bit each, the lowest bit of a byte
/// first. What is not said was.
///
/// # Errors
/// [`StatisticsError::Guarding`] when the study cannot be guarded.
pub fn released(spec: &StudySpec, passed: &[u8]) -> Result<Vec<bool>, StatisticsError> {
    let lattice = Lattice::of(spec, &Layout::of(spec)?).map_err(|_| StatisticsError::Guarding)?;
    let is_set = |set: usize| passed.get(set / 8).is_none_or(|byte| byte >> (set % 8) & 1 == 1);
    Ok((0..lattice.gates.release.len()).map(is_set).collect())
}

/// Compiles a study for a roster of so many hospitals. `repeatable` are the guarded studies over the same hospitals whose
/// results stood on the ledger when the round was opened, in its order: what they released and has not changed is released
/// again.
///
/// # Errors
/// [`GuardPlanError`]; the study must then be changed, or be open or private.
pub fn plan(
    spec: &StudySpec,
    policy: &DisclosurePolicy,
    hospitals: usize,
    repeatable: &[Repeatable],
) -> Result<GuardPlan, GuardPlanError> {
    let layout = Layout::of(spec)?;
    let lattice = Lattice::of(spec, &layout)?;
    let bar = Bar::of(u64::from(spec.threshold(policy)), u64::from(policy.insiders), hospitals);
    // A number that has to be large is not asked whether it is 0.
    let inputs = lattice.gates.sets.iter().flat_map(|gate| &gate.inputs).chain(&lattice.gates.release);
    let passing: BTreeSet<usize> = inputs
        .filter_map(|bit| match bit {
            BitRef::Group(group) | BitRef::Nobody(group) => Some(*group),
            BitRef::Large(_) | BitRef::Set(_) => None,
        })
        .collect();
    let numbers = lattice.compared.numbers.len();
    let shown = (0..numbers).map(|number| policy.show_zeros && passing.contains(&number));
    // A set that is asked for again passes, too, when nobody says that it has changed.
    let again = again(spec, &layout, &lattice, repeatable);
    let zeros_shown = shown.chain(again.iter().map(|_| true)).collect();
    let gates = or_unchanged(spec, &layout, &lattice, &again)?;
    let shape = GuardShape::new(hospitals, bar, zeros_shown, gates)?;
    Ok(GuardPlan { shape, groups: lattice.padded.clone(), lattice })
}

/// Turns the groups that passed into a result.
///
/// `roster` is the size of the round's roster on the ledger; `policy` is the consortium's.
///
/// # Errors
/// [`DisclosureError`]; then nothing is released. [`DisclosureError::Broken`] also when a group was opened that is small:
/// then aggregator or custodian did not do as agreed.
pub fn release(
    spec: &StudySpec,
    policy: &DisclosurePolicy,
    roster: usize,
    opened: &GuardedCells,
) -> Result<Released<StudyResult>, DisclosureError> {
    if spec.protection != Protection::Guarded {
        return Err(DisclosureError::Protection);
    }
    // What it repeats decides what passes, not what of it can be opened.
    let plan = plan(spec, policy, roster, &[]).map_err(|_| DisclosureError::Layout)?;
    let layout = Layout::of(spec).map_err(|_| DisclosureError::Layout)?;
    check_frame(policy, roster)?;
    if opened.groups().len() != plan.groups.len() {
        return Err(DisclosureError::Layout);
    }
    let mut cells = zeroize::Zeroizing::new(vec![0i64; layout.cells()]);
    for (Padded { cells: range, .. }, own) in plan.groups.iter().zip(opened.groups()) {
        match own {
            None => {}
            Some(own) if own.hospitals() != roster => return Err(DisclosureError::Roster),
            Some(own) if own.len() != range.len() => return Err(DisclosureError::Layout),
            Some(own) => cells[range.clone()].copy_from_slice(own.values()),
        }
    }
    let is_open = |group: usize| opened.groups()[group].is_some();
    let rules: Vec<_> = (0..layout.bundles().len()).map(|bundle| plan.rules(bundle, is_open)).collect();
    let (count_rules, sum_rules): (Vec<Option<Rule>>, Vec<Option<Rule>>) = rules.into_iter().unzip();
    let broken = |block: usize| DisclosureError::Broken { statistic: spec.statistics[block].name.clone() };
    let counts = Counts::of(&layout, &cells);
    let shown = |bundle: &usize| count_rules[*bundle].is_none();
    sound::check_bundles(spec, &layout, &cells, &sum_rules, roster).map_err(broken)?;
    let k = spec.threshold(policy);
    for block in layout.all_blocks() {
        let small = |bundle: usize| {
            let zeros = policy.show_zeros || plan.lattice.places[bundle].is_empty;
            counts.is_small(bundle, k, zeros) || counts.of_bundle(bundle).1 != 0
        };
        if block.bundles.clone().any(|bundle| shown(&bundle) && small(bundle)) {
            return Err(broken(block.statistic));
        }
    }
    let complete: Vec<_> =
        lines::of(&layout).into_iter().filter(|line| line.sides.iter().flatten().all(shown)).collect();
    sound::check_lines(&complete, &counts).map_err(broken)?;
    sound::check_totals(&layout, &counts, &count_rules).map_err(broken)?;
    sound::check_coarser(&layout, &cells, &count_rules, &sum_rules).map_err(broken)?;
    Ok(Released::new(StudyResult::estimate(spec, &layout, policy, roster, &cells, (&count_rules, &sum_rules))))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cells::OpenedCells;
    use crate::disclosure::lattice::oracle::QUERY;
    use crate::result::Estimate;

    /// A guarded study over a variable x from 0 to 20 and dimensions x, g, h and m.
    pub(in crate::disclosure) fn study(statistics: &str) -> StudySpec {
        let text = format!(
            "version = 1\ntitle = \"T\"\ndescription = \"D\"\npurpose = \"HMB\"\ndeclares = []\nprotection = \"guarded\"\n\
             min_joint_count = 11\n[cohort]\nsql = \"{QUERY}\"\nsubject = \"id\"\n\
             [[variable]]\nname = \"x\"\nmin = 0\nmax = 20\nresolution = 1\n\
             [[dimension]]\nname = \"x\"\nedges = [0, 10, 20]\n\
             [[dimension]]\nname = \"g\"\nvalues = [1, 2]\n\
             [[dimension]]\nname = \"h\"\nvalues = [1, 2]\n\
             [[dimension]]\nname = \"m\"\nvalues = [1, 2]\n{statistics}"
        );
        StudySpec::from_toml(&text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn statistic(name: &str, kind: &str, by: &str) -> String {
        format!("[[statistic]]\nname = \"{name}\"\nkind = \"{kind}\"\nby = [{by}]\n")
    }

    fn mean(by: &str) -> String {
        statistic("mean", "mean\"\nof = \"x", by)
    }

    fn policy() -> DisclosurePolicy {
        DisclosurePolicy {
            min_joint_count: 11,
            min_site_count: 5,
            min_hospitals: 3,
            insiders: 0,
            witness: false,
            key_sets: 1,
            show_zeros: true,
            rounding: 1,
            studies_per_researcher: 1,
            quota_days: 1,
            open_studies: true,
            privacy_budget: consilium_protocol::privacy::MicroRho::ZERO,
            slot_seconds: 1,
        }
    }

    /// Cells that nobody withheld: of each bundle what a statistic asks for, by its position and the cell's place, and in merged
    /// groups their sums.
    pub(in crate::disclosure) fn joint(layout: &Layout, of: impl Fn(usize, usize) -> i64) -> Vec<i64> {
        let mut cells = vec![0; layout.cells()];
        for block in layout.blocks() {
            for bundle in block.bundles.clone() {
                let own = layout.bundles()[bundle].cells();
                for (place, cell) in own.enumerate().take(layout.bundles()[bundle].cells().len() - 1) {
                    cells[cell] = of(bundle, place);
                }
            }
        }
        for block in layout.coarser() {
            for (bundle, parts) in block.bundles.clone().zip(layout.parts_of_coarser(block)) {
                for (place, cell) in layout.bundles()[bundle].cells().enumerate() {
                    cells[cell] = parts.iter().map(|part| cells[layout.bundles()[*part].first_cell + place]).sum();
                }
            }
        }
        cells
    }

    /// What is released of these cells to three hospitals when all groups of cells are opened but those.
    fn opened(
        spec: &StudySpec,
        policy: &DisclosurePolicy,
        cells: &[i64],
        is_hidden: impl Fn(usize) -> bool,
    ) -> Result<StudyResult, DisclosureError> {
        let groups = plan(spec, policy, 3, &[]).expect("a study that can be guarded").groups;
        let open = |(group, padded): (usize, &Padded)| {
            (!is_hidden(group)).then(|| OpenedCells::of(&cells[padded.cells.clone()], 3))
        };
        let cells = GuardedCells::of(groups.iter().enumerate().map(open).collect());
        release(spec, policy, 3, &cells).map(|released| released.get().clone())
    }

    #[test]
    fn sums_are_suppressed_by_a_rule_of_their_own_where_the_count_is_shown() {
        let spec = study(&mean(""));
        let cells = [60, 300, 0, 20, 0];
        let measures = |hidden: &'static [usize]| {
            let result = opened(&spec, &policy(), &cells, |group| hidden.contains(&group)).expect("sound cells");
            ["n", "mean"].map(|name| result.statistics[0].rows[0].measure(name).expect("a measure"))
        };
        assert_eq!(measures(&[]), [Estimate::Count(60), Estimate::Real(5.0)]);
        assert_eq!(measures(&[1]), [Estimate::Count(60), Estimate::Suppressed(Rule::LittleSpread)]);
        assert_eq!(measures(&[0, 1]), [Estimate::Suppressed(Rule::SmallCountOrPart); 2]);
        let broken = DisclosureError::Broken { statistic: "mean".to_string() };
        assert_eq!(
            opened(&spec, &policy(), &[60, 1_201, 0, 20, 0], |_| false).err(),
            Some(broken),
            "above the maximum"
        );
    }

    #[test]
    fn merged_groups_are_checked_as_others_are() {
        let spec = study(&statistic("g", "count", "\"g\""));
        let layout = Layout::of(&spec).expect("a valid study");
        let own = layout.blocks()[0].bundles.len();
        let of = |first: i64| {
            // 1, 2, other, missing; the first and the last two are shown together only.
            let cells = joint(&layout, |bundle, _| [first, 40, 0, 2][bundle]);
            opened(&spec, &policy(), &cells, |group| group < own && group != 1)
        };
        let broken = Err(DisclosureError::Broken { statistic: "g".to_string() });
        assert_eq!(of(8).map(drop), broken, "ten");
        let shown = of(9).expect("eleven").statistics[0].together.clone();
        assert_eq!(shown.iter().map(|row| row.measures[0].value).collect::<Vec<_>>(), [Estimate::Count(11)]);
        // The second group is the same in both tables.
        let mut cells = joint(&layout, |bundle, _| [30, 40, 0, 20][bundle]);
        let (merged, others) = (layout.bundles()[own].first_cell, layout.bundles()[own + 1].first_cell);
        cells[merged] -= 1;
        cells[others] += 1;
        assert_eq!(opened(&spec, &policy(), &cells, |_| false).map(drop), broken, "the totals are the same");
    }

    #[test]
    fn tables_that_disagree_are_not_released() {
        let spec = study(&(statistic("g", "count", "\"g\"") + &statistic("gh", "crosstab", "\"g\", \"h\"")));
        let layout = Layout::of(&spec).expect("a valid study");
        let of = |moved: i64| {
            let cells = joint(&layout, |bundle, _| match bundle {
                0 | 1 => 80,
                // By h of the first g, and of the second.
                4 | 5 => 40 + moved,
                8 | 9 => 40 - moved,
                _ => 0,
            });
            opened(&spec, &policy(), &cells, |_| false).map(drop)
        };
        assert_eq!(of(0), Ok(()));
        assert_eq!(of(1), Err(DisclosureError::Broken { statistic: "gh".to_string() }));
    }

    #[test]
    fn groups_that_nobody_can_be_in_are_no_small_ones() {
        let (spec, policy) = (study(&mean("\"x\"")), DisclosurePolicy { show_zeros: false, ..policy() });
        let layout = Layout::of(&spec).expect("a valid study");
        // 0 to <10, 10 to <20, other, missing, each with those who have a value and those who have none.
        let of = |others: i64| {
            let cells =
                joint(&layout, |bundle, place| [20, 0, 20, 0, others, 0, 0, 20][bundle] * (1 + 4 * place as i64));
            opened(&spec, &policy, &cells, |_| false).map(drop)
        };
        assert_eq!(of(20), Ok(()));
        assert_eq!(of(0), Err(DisclosureError::Broken { statistic: "mean".to_string() }));
    }

    #[test]
    fn too_few_hospitals_get_no_result() {
        let (spec, policy) = (study(&mean("")), DisclosurePolicy { min_hospitals: 4, ..policy() });
        let refused = opened(&spec, &policy, &[60, 300, 0, 20, 0], |_| false).err();
        assert_eq!(refused, Some(DisclosureError::TooFewHospitals { roster: 3, needed: 4 }));
    }

    #[test]
    fn a_plan_is_of_the_studys_threshold_and_the_policys_insiders() {
        let spec = StudySpec { min_joint_count: 20, ..study(&mean("")) };
        let policy = DisclosurePolicy { insiders: 1, ..policy() };
        let plan = plan(&spec, &policy, 4, &[]).expect("a study that can be guarded");
        assert_eq!(plan.shape.bar(), Bar { cap: 20, least: 40 });
        let layout = Layout::of(&spec).expect("a valid study");
        assert_eq!(compared(&spec, &layout, &[]).map(|compared| compared.numbers.len()), Ok(plan.compared()));
        let open = StudySpec { protection: Protection::Open, ..spec };
        assert_eq!(compared(&open, &layout, &[]), Ok(Compared::default()));
    }

    #[test]
    fn zeros_are_told_of_groups_and_not_of_ranges() {
        let all = plan(&study(&statistic("all", "count", "")), &policy(), 3, &[]).expect("a study that can be guarded");
        assert_eq!(all.shape.zeros_shown(), [true]);
        let ring = mean("\"g\", \"h\"")
            + &statistic("hm", "count", "\"h\", \"m\"")
            + &statistic("gm", "count", "\"g\", \"m\"");
        for (text, is_tied) in [(mean(""), false), (ring, true)] {
            let spec = study(&text);
            let shown = plan(&spec, &policy(), 3, &[]).expect("a study that can be guarded");
            assert_eq!(shown.is_tied(), is_tied);
            let gates = shown.shape.gates();
            let used: Vec<BitRef> =
                gates.sets.iter().flat_map(|set| &set.inputs).chain(&gates.release).copied().collect();
            let asks = |number: usize| used.contains(&BitRef::Group(number)) || used.contains(&BitRef::Nobody(number));
            let zeros: Vec<bool> = (0..shown.compared()).map(asks).collect();
            assert_eq!(shown.shape.zeros_shown(), zeros);
            assert!(zeros.contains(&true) && zeros.contains(&false));
            let hidden = plan(&spec, &DisclosurePolicy { show_zeros: false, ..policy() }, 3, &[]).expect("as before");
            assert_eq!(hidden.shape.zeros_shown(), vec![false; zeros.len()]);
        }
    }

    #[test]
    fn groups_of_cells_are_released_by_their_seeds() {
        let plan =
            plan(&study(&statistic("g", "count", "\"g\"")), &policy(), 3, &[]).expect("a study that can be guarded");
        // The second group of either table is one.
        assert!(plan.sealed() < plan.groups.len());
        for number in 0..plan.compared() {
            let passes: Vec<bool> = (0..plan.compared()).map(|other| other != number).collect();
            let seeds = plan.shape.gates().evaluate(&passes, &passes);
            let released = plan.released(&passes, &passes);
            assert_eq!(released.len(), plan.groups.len());
            assert!(released.iter().zip(&plan.groups).all(|(released, group)| *released == seeds[group.seed]));
        }
    }

    #[test]
    fn a_breakdown_does_not_wait_for_its_own_coarser_tables() {
        let waits = |statistics: &str| {
            plan(&study(statistics), &policy(), 3, &[]).expect("a study that can be guarded").waits_for().to_vec()
        };
        let crossed = statistic("gh", "crosstab", "\"g\", \"h\"");
        assert_eq!(waits(&crossed), [Vec::<String>::new()]);
        assert_eq!(waits(&(crossed.clone() + &mean("\"g\", \"h\""))), [Vec::<String>::new(), vec![]]);
        let both = crossed + &statistic("gm", "crosstab", "\"g\", \"m\"");
        assert_eq!(waits(&both), [["g".to_string()], ["g".to_string()]]);
    }
}
