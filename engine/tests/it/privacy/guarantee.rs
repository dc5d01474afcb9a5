//! ρ as claimed against ρ as it is: the divergence of the exact sums of shares, order by order.

use consilium_engine::privacy::NoisePlan;
use consilium_protocol::privacy::{MicroRho, honest_of};

use super::exact::{discrete_gaussian, divergence, sum_of};
use super::mechanism::{study, study_over};

/// The ρ that one cell costs at most over several orders, with the noise of the honest half alone.
fn exact_cost(plan: &NoisePlan, cell: usize, sensitivity: usize) -> f64 {
    let noise = sum_of(&discrete_gaussian(plan.share_sigma(cell)), honest_of(plan.roster()));
    let orders = [1.001, 1.5, 2.0, 3.0, 5.0, 8.0];
    orders.map(|alpha| divergence(&noise, sensitivity, alpha) / alpha).into_iter().fold(0.0, f64::max)
}

#[test]
fn a_count_costs_what_it_claims_at_every_size_of_roster() {
    let (spec, layout) = study(&["count"], "");
    for roster in [1, 2, 3, 5, 8, 20] {
        let most = 500_000 / honest_of(roster) as u64;
        for rho in [most, most / 2, most / 7, 1_000] {
            let plan = NoisePlan::of(&spec, &layout, MicroRho::new(rho), roster).expect("a fitting study");
            let (cost, claim) = (exact_cost(&plan, 0, 1), rho as f64 / 1e6);
            assert!(cost <= claim * (1.0 + 1e-9), "{roster} {rho}: costs {cost}");
            assert!(cost > 0.93 * claim, "{roster} {rho}: too much noise, costs only {cost}");
            let guarantee = plan.guarantee();
            assert!((cost * (1.0 - 1e-6)..=claim * (1.0 + 1e-9)).contains(&guarantee), "{cost} {guarantee} {claim}");
        }
    }
}

#[test]
fn the_sums_of_a_bundle_cost_equal_parts_and_add_up() {
    let (spec, layout) = study_over(&["variance", "count"], "", 12);
    let rho = 0.2;
    let plan = NoisePlan::of(&spec, &layout, MicroRho::new(200_000), 4).expect("a fitting study");
    // n, Σx, Σx², withheld; n of the missing, withheld; n of the count, withheld.
    let (third, whole) = (rho / 6.0, rho / 2.0);
    let cells = [(0, 1, third), (1, 12, third), (2, 144, third), (4, 1, whole), (6, 1, whole)];
    for (cell, sensitivity, claim) in cells {
        let cost = exact_cost(&plan, cell, sensitivity);
        assert!(cost <= claim * (1.0 + 1e-9) && cost > 0.95 * claim, "{cell}: {cost} {claim}");
    }
    for withheld in [3, 5, 7] {
        assert_eq!(plan.sigma(withheld), 0.0);
    }
    assert!(plan.guarantee() <= rho && plan.guarantee() > 0.95 * rho, "{}", plan.guarantee());
}

#[test]
fn joint_noise_is_that_of_all_hospitals() {
    let (spec, layout) = study(&["count"], "");
    let plan = NoisePlan::of(&spec, &layout, MicroRho::new(100_000), 5).expect("a fitting study");
    // σ² = 1/2ρ = 5 from three of five, hence 25/3 from all, and a little more from rounding.
    assert!((plan.sigma(0) / (25f64 / 3.0).sqrt() - 1.0).abs() < 0.03, "{}", plan.sigma(0));
}
