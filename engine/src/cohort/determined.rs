//! Which values of a row determine which others: functional dependencies and their closure.
//!
//! An attribute is a value that each row of some step of a plan has: a column's, or one that tells the step's rows apart.
//! A dependency holds where rows with the very same values on its left have the very same value on its right. What follows
//! from a set of attributes is found by Armstrong's axioms (W. W. Armstrong, "Dependency Structures of Data Base
//! Relationships", IFIP 1974), in time linear in the dependencies that are used (Beeri and Bernstein, ACM TODS 4(1), 1979).

use std::collections::{BTreeMap, BTreeSet};

/// A value that each row of some step has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attribute(usize);

#[derive(Clone, Debug, Default)]
struct Dependency {
    left: usize,
    right: Vec<Attribute>,
}

/// Attributes, and which of them determine which.
#[derive(Clone, Debug, Default)]
pub(super) struct Determined {
    dependencies: Vec<Dependency>,
    /// By attribute, the dependencies that have it on their left.
    uses: Vec<Vec<usize>>,
    /// Those with nothing on their left.
    constants: Vec<usize>,
    /// By attribute, another that is equal to it, towards one that stands for them all.
    equal: Vec<Attribute>,
}

impl Determined {
    /// An attribute of which nothing is known.
    pub(super) fn attribute(&mut self) -> Attribute {
        let attribute = Attribute(self.uses.len());
        self.uses.push(Vec::new());
        self.equal.push(attribute);
        attribute
    }

    /// Notes that `left` determines `right`; with nothing on the left, `right` is the same in every row.
    pub(super) fn determine(&mut self, left: &[Attribute], right: &[Attribute]) {
        let left: BTreeSet<Attribute> = left.iter().copied().collect();
        let number = self.dependencies.len();
        if left.is_empty() {
            self.constants.push(number);
        }
        for attribute in &left {
            self.uses[attribute.0].push(number);
        }
        self.dependencies.push(Dependency { left: left.len(), right: right.to_vec() });
    }

    /// Notes that two attributes are equal in every row.
    pub(super) fn equate(&mut self, one: Attribute, other: Attribute) {
        self.determine(&[one], &[other]);
        self.determine(&[other], &[one]);
        let (one, other) = (self.representative(one), self.representative(other));
        self.equal[one.0] = other;
    }

    /// Whether two attributes are known to be equal in every row.
    pub(super) fn are_equal(&self, one: Attribute, other: Attribute) -> bool {
        self.representative(one) == self.representative(other)
    }

    fn representative(&self, mut attribute: Attribute) -> Attribute {
        while self.equal[attribute.0] != attribute {
            attribute = self.equal[attribute.0];
        }
        attribute
    }

    /// Everything that these attributes determine, themselves included.
    pub(super) fn closure(&self, of: &[Attribute]) -> BTreeSet<Attribute> {
        let mut found: BTreeSet<Attribute> = of.iter().copied().collect();
        let mut open: Vec<Attribute> = found.iter().copied().collect();
        let mut waiting: BTreeMap<usize, usize> = BTreeMap::new();
        let fire = |number: usize, open: &mut Vec<Attribute>, found: &mut BTreeSet<Attribute>| {
            for attribute in &self.dependencies[number].right {
                if found.insert(*attribute) {
                    open.push(*attribute);
                }
            }
        };
        for number in &self.constants {
            fire(*number, &mut open, &mut found);
        }
        while let Some(attribute) = open.pop() {
            for number in &self.uses[attribute.0] {
                let left = waiting.entry(*number).or_insert(self.dependencies[*number].left);
                *left -= 1;
                if *left == 0 {
                    fire(*number, &mut open, &mut found);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closure_follows_every_dependency_whose_left_is_complete() {
        let mut facts = Determined::default();
        let [a, b, c, d, e] = [(); 5].map(|()| facts.attribute());
        facts.determine(&[a, b], &[c]);
        facts.determine(&[c], &[d]);
        facts.determine(&[], &[b]);
        assert_eq!(facts.closure(&[a]), BTreeSet::from([a, b, c, d]));
        assert_eq!(facts.closure(&[d]), BTreeSet::from([b, d]));
        facts.equate(e, a);
        assert!(facts.closure(&[e]).contains(&d));
        assert!(facts.are_equal(a, e) && !facts.are_equal(a, b));
    }
}
