//! How far a function over patients is from all combinations of others, from below.
//!
//! For functions g and a₁, …, aₘ over patients, the distance min over λ of Σ |g(p) + Σ λⱼ aⱼ(p)| is, by linear programming duality,
//! the most that ⟨g, y⟩ can be for y with |y(p)| ≤ 1 that is orthogonal to each aⱼ. Any such y, an *exchange*, is a lower bound,
//! and a lower bound is all that is needed. A first one is the part of g that is orthogonal to the aⱼ, divided by its largest
//! value; the alternating direction method of multipliers makes it better, all steps of it with one factorisation.
//!
//! Source: S. Boyd, N. Parikh, E. Chu, B. Peleato, J. Eckstein, "Distributed Optimization and Statistical Learning via the
//! Alternating Direction Method of Multipliers", Foundations and Trends in Machine Learning 3, 2011, section 5.

/// What of a function is taken for 0, in patients.
const NOTHING: f64 = 1e-6;
/// The part of a function's square that must be new for it to be kept beside others.
const DEPENDENT: f64 = 1e-9;
/// The most steps of improvement.
const STEPS: usize = 200;
/// After so many steps without a gain of a hundredth, no more is expected.
const PATIENCE: usize = 25;

/// A function over patients: places and values, ascending, none of them 0.
pub(super) type Function = Vec<(u32, f64)>;

/// Where a function that was added stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// Among those that are kept.
    Kept(usize),
    /// Among those that are combinations of kept ones.
    Dependent(usize),
}

/// A function's inner product with an exchange, as a multiple of that of the function whose distance is wanted.
type Target = (Stands, f64);

/// Functions over places, of which each stands for some patients that no function tells apart.
#[derive(Debug)]
pub(super) struct Span {
    /// How many patients each place stands for.
    weights: Vec<f64>,
    /// Those that are kept: none is a combination of those before it.
    kept: Vec<Function>,
    /// By place the kept functions that are not 0 there.
    at: Vec<Vec<(u32, f64)>>,
    /// The Cholesky factor of their inner products, by row.
    factor: Vec<Vec<f64>>,
    /// Those that are combinations of kept ones, each with how many were kept then.
    dependent: Vec<(usize, Function)>,
}

impl Span {
    /// No functions yet.
    pub(super) fn new(weights: Vec<f64>) -> Self {
        let at = vec![Vec::new(); weights.len()];
        Self { weights, kept: Vec::new(), at, factor: Vec::new(), dependent: Vec::new() }
    }

    /// How many functions are kept: for [`Span::truncate`].
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Forgets all but the first functions that were kept.
    pub(super) fn truncate(&mut self, len: usize) {
        for function in self.kept.drain(len.min(self.kept.len())..).rev() {
            for (place, _) in function {
                self.at[place as usize].pop();
            }
        }
        self.factor.truncate(len);
        while self.dependent.last().is_some_and(|(kept, _)| *kept > len) {
            self.dependent.pop();
        }
    }

    /// Adds a function. Where it stands, unless it is nothing.
    pub(super) fn push(&mut self, function: Function) -> Option<Stands> {
        let mut row = self.products(&function);
        let whole: f64 = function.iter().map(|(place, value)| self.weights[*place as usize] * value * value).sum();
        if whole <= DEPENDENT {
            return None;
        }
        self.solve_lower(&mut row);
        let rest = whole - row.iter().map(|value| value * value).sum::<f64>();
        if rest <= DEPENDENT * whole {
            self.dependent.push((self.kept.len(), function));
            return Some(Stands::Dependent(self.dependent.len() - 1));
        }
        row.push(rest.sqrt());
        self.factor.push(row);
        let name = self.kept.len();
        function.iter().for_each(|(place, value)| self.at[*place as usize].push((name as u32, *value)));
        self.kept.push(function);
        Some(Stands::Kept(name))
    }

    fn function(&self, at: Stands) -> &Function {
        match at {
            Stands::Kept(name) => &self.kept[name],
            Stands::Dependent(name) => &self.dependent[name].1,
        }
    }

    /// A lower bound of the distance of the function `of` from all combinations of the others, those of `against` left out; enough
    /// to tell whether it is `enough`. With each of those a multiple is given, of what an exchange takes from it for what it gives
    /// to `of`: by that it changes no sum of theirs which others know.
    ///
    /// Any of them may be a combination of the others: the groups of a partition add up to those of another.
    pub(super) fn distance(&self, of: Stands, against: &[Target], enough: f64) -> f64 {
        let targets: Vec<Target> =
            [(of, 1.0)].into_iter().chain(against.iter().map(|(at, multiple)| (*at, -multiple))).collect();
        let mut free = vec![0.0; self.kept.len()];
        for (at, target) in &targets {
            if let Stands::Kept(name) = at {
                free[*name] = *target;
            }
        }
        self.solve_lower(&mut free);
        self.solve_upper(&mut free);
        let mut first = vec![0.0; self.weights.len()];
        for (function, coefficient) in self.kept.iter().zip(&free) {
            function.iter().for_each(|(place, value)| first[*place as usize] += coefficient * value);
        }
        self.straighten(&mut first, &targets);
        let whole: f64 = self.weights.iter().zip(&first).map(|(weight, value)| weight * value * value).sum();
        let scale = largest(&first);
        if !whole.is_normal() || !self.meets(&first, scale, &targets) {
            return 0.0;
        }
        let gain = |exchange: &[f64]| self.inner(self.function(of), exchange);
        let mut best = gain(&first) / scale;
        // What is added in each step, as large as the part of the function that is orthogonal.
        let by = gain(&first) / whole;
        let pull: Vec<f64> = first.iter().map(|value| value * by).collect();
        let mut bound: Vec<f64> = first.iter().map(|value| value / scale).collect();
        let mut dual = vec![0.0; self.weights.len()];
        let (mut since, mut last) = (0, best);
        for _ in 0..STEPS {
            if best >= enough || since >= PATIENCE {
                break;
            }
            let mut step: Vec<f64> = bound.iter().zip(&dual).map(|(bound, dual)| bound - dual).collect();
            let weighted = self.weights.iter().zip(&step).zip(&first);
            let along: f64 = weighted.map(|((weight, step), first)| weight * step * first).sum::<f64>() / whole;
            self.project(&mut step);
            step.iter_mut().zip(&first).zip(&pull).for_each(|((step, first), pull)| *step += along * first + pull);
            let found = gain(&step) / largest(&step).max(1.0);
            if found > best {
                self.straighten(&mut step, &targets);
                let scale = largest(&step).max(1.0);
                if self.meets(&step, scale, &targets) {
                    best = best.max(gain(&step) / scale);
                }
            }
            for ((bound, dual), step) in bound.iter_mut().zip(&mut dual).zip(&step) {
                *bound = (step + *dual).clamp(-1.0, 1.0);
                *dual += step - *bound;
            }
            since += 1;
            if best > last * 1.01 {
                (since, last) = (0, best);
            }
        }
        best
    }

    /// Takes off what rounding has left of the functions that an exchange is to be orthogonal to.
    fn straighten(&self, exchange: &mut [f64], targets: &[Target]) {
        let mut rest: Vec<f64> = self.kept.iter().map(|function| self.inner(function, exchange)).collect();
        let kept = |(at, target): &Target| match at {
            Stands::Kept(name) => Some((*name, *target)),
            Stands::Dependent(_) => None,
        };
        let kept: Vec<(usize, f64)> = targets.iter().filter_map(kept).collect();
        let square: f64 = kept.iter().map(|(_, target)| target * target).sum();
        if square > 0.0 {
            let along = kept.iter().map(|(name, target)| rest[*name] * target).sum::<f64>() / square;
            kept.iter().for_each(|(name, target)| rest[*name] -= along * target);
        }
        self.solve_lower(&mut rest);
        self.solve_upper(&mut rest);
        for (function, coefficient) in self.kept.iter().zip(&rest) {
            function.iter().for_each(|(place, value)| exchange[*place as usize] -= coefficient * value);
        }
    }

    /// What is as it should be up to rounding is as it should be; what is not proves nothing.
    fn meets(&self, exchange: &[f64], scale: f64, targets: &[Target]) -> bool {
        let own = |at| self.inner(self.function(at), exchange);
        let gain = own(targets[0].0);
        let kept = (0..self.kept.len()).map(Stands::Kept);
        kept.chain((0..self.dependent.len()).map(Stands::Dependent)).all(|at| {
            let target = targets.iter().find(|(of, _)| *of == at).map_or(0.0, |(_, target)| *target);
            (own(at) - target * gain).abs() <= NOTHING * scale
        })
    }

    /// Takes off what is a combination of the kept functions.
    fn project(&self, values: &mut [f64]) {
        let mut products: Vec<f64> = self.kept.iter().map(|function| self.inner(function, values)).collect();
        self.solve_lower(&mut products);
        self.solve_upper(&mut products);
        for (function, coefficient) in self.kept.iter().zip(&products) {
            function.iter().for_each(|(place, value)| values[*place as usize] -= coefficient * value);
        }
    }

    fn inner(&self, function: &Function, values: &[f64]) -> f64 {
        let of = |(place, value): &(u32, f64)| self.weights[*place as usize] * value * values[*place as usize];
        function.iter().map(of).sum()
    }

    /// Inner products with the kept functions.
    fn products(&self, function: &Function) -> Vec<f64> {
        let mut products = vec![0.0; self.kept.len()];
        for (place, value) in function {
            let weighted = self.weights[*place as usize] * value;
            self.at[*place as usize].iter().for_each(|(kept, value)| products[*kept as usize] += weighted * value);
        }
        products
    }

    fn solve_lower(&self, values: &mut [f64]) {
        for (at, row) in self.factor.iter().enumerate().take(values.len()) {
            let (solved, rest) = values.split_at_mut(at);
            let sum: f64 = row.iter().zip(solved.iter()).map(|(factor, value)| factor * value).sum();
            rest[0] = (rest[0] - sum) / row[at];
        }
    }

    fn solve_upper(&self, values: &mut [f64]) {
        for (at, row) in self.factor.iter().enumerate().take(values.len()).rev() {
            values[at] /= row[at];
            let (rest, solved) = values.split_at_mut(at);
            rest.iter_mut().zip(row).for_each(|(value, factor)| *value -= factor * solved[0]);
        }
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| value.abs().max(largest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(places: &[u32]) -> Function {
        places.iter().map(|place| (*place, 1.0)).collect()
    }

    /// The distance of the first of these from the others.
    fn distance(weights: &[f64], functions: &[&[u32]]) -> f64 {
        let mut span = Span::new(weights.to_vec());
        for places in &functions[1..] {
            span.push(function(places));
        }
        span.push(function(functions[0])).map_or(0.0, |of| span.distance(of, &[], 1e9))
    }

    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-3 * expected, "{found} instead of {expected}");
    }

    #[test]
    fn alone_a_set_is_as_far_as_it_is_large() {
        assert_near(distance(&[1.0, 2.0, 4.0], &[&[0, 2]]), 5.0);
        assert!(Span::new(vec![1.0]).push(Function::new()).is_none());
    }

    #[test]
    fn what_follows_from_others_is_not_far() {
        let others = [&[0, 1, 2][..], &[1, 2], &[0, 3]];
        for places in [&[0][..], &[3], &[1, 2, 3]] {
            let functions: Vec<&[u32]> = [places].into_iter().chain(others).collect();
            assert_eq!(distance(&[10.0; 4], &functions), 0.0, "{places:?}");
        }
        // The second and the third can be exchanged.
        assert_near(distance(&[10.0; 4], &[&[1], &[0, 1, 2], &[1, 2], &[0, 3]]), 10.0);
    }

    #[test]
    fn a_difference_of_few_is_near() {
        assert_near(distance(&[100.0, 3.0, 50.0], &[&[0], &[0, 1]]), 3.0);
    }

    #[test]
    fn of_two_groups_of_one_class_the_smaller_bounds_both() {
        let mut span = Span::new(vec![100.0, 3.0, 50.0]);
        let names = [0, 1, 2].map(|place| span.push(function(&[place])).expect("new"));
        assert_near(span.distance(names[0], &[(names[1], 1.0)], 1e9), 3.0);
        assert_near(span.distance(names[0], &[(names[2], 1.0)], 1e9), 50.0);
        assert_near(span.distance(names[0], &[], 1e9), 100.0);
    }

    #[test]
    fn what_makes_one_dependent_on_a_later_one_is_seen() {
        let mut span = Span::new(vec![10.0; 3]);
        let of = span.push(function(&[0, 1])).expect("new");
        assert!(matches!(span.push(function(&[0])), Some(Stands::Kept(_))));
        // Follows from both; so the first follows from the others.
        assert!(matches!(span.push(function(&[1])), Some(Stands::Dependent(_))));
        assert_eq!(span.distance(of, &[], 1e9), 0.0);
    }

    #[test]
    fn the_last_group_of_a_partition_is_told_from_the_first_as_any_other_is() {
        let mut span = Span::new(vec![5.0, 7.0, 9.0]);
        span.push(function(&[0, 1, 2]));
        let names = [0, 1, 2].map(|place| span.push(function(&[place])).expect("something"));
        assert!(matches!(names[2], Stands::Dependent(_)));
        assert_near(span.distance(names[1], &[(names[0], 1.0)], 1e9), 5.0);
        assert_near(span.distance(names[2], &[(names[0], 1.0)], 1e9), 5.0);
        assert_near(span.distance(names[0], &[(names[2], 1.0)], 1e9), 5.0);
        assert_eq!(span.distance(names[2], &[], 1e9), 0.0, "it follows from the others and their sum");
        // What follows from something else is not told apart by the other's exchange.
        let known = span.push(function(&[1])).expect("something");
        assert_eq!(span.distance(known, &[(names[0], 1.0)], 1e9), 0.0);
    }

    #[test]
    fn functions_that_are_forgotten_leave_nothing() {
        let mut span = Span::new(vec![5.0; 6]);
        span.push(function(&[0, 1, 2]));
        let of = span.push(function(&[0])).expect("new");
        let (before, len) = (span.distance(of, &[], 1e9), span.len());
        for places in [&[0, 3][..], &[1, 4], &[0, 1, 2], &[3, 4, 5]] {
            span.push(function(places));
        }
        assert!(span.distance(of, &[], 1e9) < before + 1e-9);
        span.truncate(len);
        assert!(span.at[3].is_empty() && span.at[0].len() == 2);
        assert_near(span.distance(of, &[], 1e9), before);
    }

    /// Against a linear program's answers on small instances, found by looking at all vertices.
    #[test]
    fn random_distances_are_never_more_than_the_least_sum_and_most_often_as_much() {
        let (mut state, mut near, mut all) = (1u64, 0, 0);
        let mut random = move |end: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % end
        };
        for _ in 0..400 {
            let weights: Vec<f64> = (0..6).map(|_| 1.0 + random(4) as f64).collect();
            let mut draw = || (0..6).filter(|_| random(2) == 1).collect::<Vec<u32>>();
            let (of, others) = (draw(), [draw(), draw()]);
            let value = |places: &[u32], place: u32| if places.contains(&place) { 1.0 } else { 0.0 };
            let sum = |a: f64, b: f64| -> f64 {
                let at = |place: u32| value(&of, place) + a * value(&others[0], place) + b * value(&others[1], place);
                (0..6).map(|place| weights[place as usize] * at(place).abs()).sum()
            };
            // The least is where two of the terms are 0, all of whose coefficients are 0 or 1.
            let grid = [-2.0, -1.0, 0.0, 1.0, 2.0];
            let least = grid.iter().flat_map(|a| grid.map(|b| sum(*a, b))).fold(f64::MAX, f64::min);
            let found = distance(&weights, &[&of, &others[0], &others[1]]);
            assert!(found <= least + 1e-5, "{found} is more than {least}");
            all += 1;
            near += i32::from(found >= least - 0.05);
        }
        assert!(10 * near >= 9 * all, "{near} of {all}");
    }
}
