//! What a class of groups tells that its separators do not.

use super::super::lattice::Class;

/// What is taken for 0.
const NOTHING: f64 = 1e-9;
/// The most entries of a class's table of unions that are looked at.
const MOST: usize = 1 << 22;

/// What the number of a group tells, once those of the separators are known.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tells {
    /// Nothing: it is a *reference*, whose number follows from the separators' and those of all groups that are none.
    Nothing,
    /// The number less what the separators' would make of it by those of references: a multiple of each of these, by position.
    Contrast(Vec<(usize, f64)>),
    /// The class is too large to look at.
    Unknown,
}

/// What each group of a class tells.
///
/// Multiples of the groups are *the separators' own* if for each group they are a sum of multiples of the unions that it is in. Any
/// multiples can be changed by such ones, in one way, so that they are 0 at every reference; what they are at another group then is
/// that group's contrast of them. So they are the separators' own exactly when all contrasts are 0.
pub(super) fn contrasts(class: &Class) -> Vec<Tells> {
    let size = class.groups.len();
    if size.saturating_mul(class.unions.len()) > MOST {
        return vec![Tells::Unknown; size];
    }
    // The unions in reduced row echelon form: whose columns lead are references.
    let mut rows: Vec<(usize, Vec<f64>)> = Vec::new();
    for union in &class.unions {
        let mut row = vec![0.0; size];
        union.iter().for_each(|group| row[*group] = 1.0);
        rows.iter().for_each(|(lead, other)| take_off(&mut row, *lead, other));
        let Some(lead) = row.iter().position(|value| value.abs() > NOTHING) else { continue };
        let scale = row[lead];
        row.iter_mut().for_each(|value| *value /= scale);
        rows.iter_mut().for_each(|(_, other)| take_off(other, lead, &row));
        rows.push((lead, row));
    }
    let tells = |group: usize| {
        if rows.iter().any(|(lead, _)| *lead == group) {
            return Tells::Nothing;
        }
        let multiples = rows.iter().map(|(lead, row)| (*lead, row[group]));
        Tells::Contrast(multiples.filter(|(_, multiple)| multiple.abs() > NOTHING).collect())
    };
    (0..size).map(tells).collect()
}

/// Takes so much of a row off another that nothing is left where it leads.
fn take_off(row: &mut [f64], lead: usize, other: &[f64]) {
    let factor = row[lead];
    if factor != 0.0 {
        row.iter_mut().zip(other).for_each(|(value, other)| *value -= factor * other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(groups: usize, unions: &[&[usize]]) -> Class {
        let groups = (0..groups).map(|group| vec![group as u32]).collect();
        Class { groups, unions: unions.iter().map(|union| union.to_vec()).collect() }
    }

    #[test]
    fn of_one_separator_every_group_is_told_from_the_first() {
        let found = contrasts(&class(3, &[&[0, 1, 2]]));
        let first = || Tells::Contrast(vec![(0, 1.0)]);
        assert_eq!(found, [Tells::Nothing, first(), first()]);
    }

    #[test]
    fn of_two_margins_a_group_is_told_by_four() {
        // Two rows of three.
        let margins: [&[usize]; 5] = [&[0, 1, 2], &[3, 4, 5], &[0, 3], &[1, 4], &[2, 5]];
        let found = contrasts(&class(6, &margins));
        let references = found.iter().filter(|tells| **tells == Tells::Nothing).count();
        assert_eq!(references, 4, "a table of two by three has two degrees of freedom");
        for (group, tells) in found.iter().enumerate() {
            let Tells::Contrast(contrast) = tells else { continue };
            assert_eq!(contrast.len(), 3);
            for margin in margins {
                let own = if margin.contains(&group) { 1.0 } else { 0.0 };
                let others = contrast.iter().filter(|(at, _)| margin.contains(at)).map(|(_, of)| of).sum::<f64>();
                // What moves patients from the others to the group leaves every margin as it is.
                assert!((own - others).abs() < 1e-12, "{margin:?}");
            }
        }
    }

    #[test]
    fn what_separators_tell_in_full_has_no_contrast() {
        assert_eq!(contrasts(&class(2, &[&[0], &[1], &[0, 1]])), [Tells::Nothing, Tells::Nothing]);
        assert_eq!(contrasts(&class(1, &[])), [Tells::Contrast(Vec::new())]);
        assert!(contrasts(&class(1 << 12, &[&[][..]; 1 << 12])).iter().all(|tells| *tells == Tells::Unknown));
    }
}
