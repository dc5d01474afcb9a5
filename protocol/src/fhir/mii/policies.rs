//! The policies of the broad consent, code list of 2025-12, and what each means here.

use super::Meaning;
use super::Meaning::{
    AbroadUse, BackwardsStorage, BillingCollection, BillingStorage, BillingTransfer, BillingUse, Collection,
    ContactByFindings, ContactForLinkage, ContactForResearch, Identity, Inactive, Module, Project, SpecimenAbroad,
    SpecimenBackwards, SpecimenCollection, SpecimenStorage, SpecimenUse, Storage, Use, Void,
};

/// One code of the list: the last number of its object identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The number after `2.16.840.1.113883.3.1937.777.24.5.3.`.
    pub number: u16,
    /// What it is about.
    pub name: &'static str,
    /// What it means here.
    pub meaning: Meaning,
}

const fn policy(number: u16, name: &'static str, meaning: Meaning) -> Policy {
    Policy { number, name, meaning }
}

/// Every code of the list, in the order of their numbers.
pub const POLICIES: [Policy; 124] = [
    policy(1, "patient data: collect, store, use", Module(&[2, 3, 5, 6, 7, 8, 37])),
    policy(2, "collect identifying data", Identity),
    policy(3, "store identifying data", Identity),
    policy(4, "link identifying data with third parties", Void),
    policy(5, "provide identifying data", Identity),
    policy(6, "collect medical data", Collection),
    policy(7, "store medical data", Storage),
    policy(8, "use medical data for science", Use),
    policy(9, "link medical data with third parties", Void),
    policy(10, "insurance data of the past: transfer, store, use", Module(&[11, 12, 13])),
    policy(11, "transfer insurance data of the past five years", BillingTransfer),
    policy(12, "store insurance data", BillingStorage),
    policy(13, "use insurance data for science", BillingUse),
    policy(14, "insurance data to come: transfer, store, use", Module(&[15])),
    policy(15, "transfer insurance data of five years to come", BillingCollection),
    policy(16, "store insurance data to come", Inactive),
    policy(17, "use insurance data to come for science", Inactive),
    policy(18, "specimens: collect, store, use", Module(&[19, 20, 22])),
    policy(19, "collect specimens", SpecimenCollection),
    policy(20, "store specimens", SpecimenStorage),
    policy(21, "transfer the ownership of specimens", Void),
    policy(22, "use specimens for science", SpecimenUse),
    policy(23, "link results of specimens with third parties", Void),
    policy(24, "further specimens", Module(&[])),
    policy(25, "take more of a specimen", Void),
    policy(26, "getting in touch for more", Module(&[27, 28, 29])),
    policy(27, "getting in touch to link other databases", ContactForLinkage),
    policy(28, "getting in touch to collect more", ContactForResearch),
    policy(29, "getting in touch about further studies", ContactForResearch),
    policy(30, "getting in touch about additional findings", Module(&[31])),
    policy(31, "getting in touch about additional findings", ContactByFindings),
    policy(32, "GECCO83 within NUM/CODEX", Project),
    policy(33, "provide GECCO83 to NUM/CODEX", Project),
    policy(34, "store GECCO83 within NUM/CODEX", Project),
    policy(35, "GECCO83 of NUM/CODEX beyond the GDPR", Project),
    policy(36, "provide GECCO83 of NUM/CODEX beyond the GDPR", Project),
    policy(37, "getting in touch about results of great importance", ContactByFindings),
    policy(38, "transfer the insurance number for data of the past", Void),
    policy(39, "transfer the insurance number for data to come", Void),
    policy(40, "complete GECCO83 once", Project),
    policy(41, "use GECCO83 for science on COVID-19", Inactive),
    policy(42, "use GECCO83 for science on pandemics", Inactive),
    policy(43, "collect GECCO83", Project),
    policy(44, "patient data of the past: process, use", Module(&[45])),
    policy(45, "store medical data of the past", BackwardsStorage),
    policy(46, "use medical data of the past for science", Inactive),
    policy(47, "link medical data of the past with third parties", Inactive),
    policy(48, "patient data beyond the GDPR", Module(&[49])),
    policy(49, "use medical data for science beyond the GDPR", AbroadUse),
    policy(50, "specimens of the past: store, use", Module(&[51, 52])),
    policy(51, "store specimens of the past", SpecimenBackwards),
    policy(52, "use specimens of the past for science", SpecimenBackwards),
    policy(53, "link results of specimens of the past with third parties", Void),
    policy(54, "specimens beyond the GDPR", Module(&[55])),
    policy(55, "provide specimens beyond the GDPR", SpecimenAbroad),
    policy(56, "use GECCO83 for science within NUM/CODEX", Project),
    policy(57, "ACRIBIS: collect, use, get in touch", Project),
    policy(58, "ACRIBIS: collect, use, get in touch", Project),
    policy(59, "ACRIBIS: registry of residents", Project),
    policy(60, "ACRIBIS: address and vital status of the registry of residents", Project),
    policy(61, "ACRIBIS: general practitioner", Project),
    policy(62, "ACRIBIS: collect, store, use what the general practitioner has", Project),
    policy(63, "outcomes as patients report them", Project),
    policy(64, "collect outcomes as patients report them", Project),
    policy(65, "use outcomes as patients report them for science", Project),
    policy(66, "getting in touch for studies of outcomes as patients report them", Project),
    policy(67, "SNID: data protection", Project),
    policy(68, "SNID: store identifying data", Project),
    policy(69, "SNID: store the consent", Project),
    policy(70, "SNID: monitors see identifying data", Project),
    policy(71, "SNID: collect medical data", Project),
    policy(72, "SNID: store medical data", Project),
    policy(73, "SNID: provide medical data", Project),
    policy(74, "SNID: monitors see medical data", Project),
    policy(75, "SNID: transfer the ownership of specimens to NUM", Project),
    policy(76, "SNID: provide the broad consent", Project),
    policy(77, "SNID: store the broad consent", Project),
    policy(78, "SNID: electronic health record", Project),
    policy(79, "SNID: provide identifying data of the electronic health record", Project),
    policy(80, "SNID: collect medical data of the electronic health record", Project),
    policy(81, "SNID: store medical data of the electronic health record", Project),
    policy(82, "SNID: cancer registry", Project),
    policy(83, "SNID: store medical data of the cancer registry", Project),
    policy(84, "SNID: store the insurance number for the cancer registry", Project),
    policy(85, "SNID: cancer registry of the past", Project),
    policy(86, "SNID: provide the insurance number to the cancer registry, for the past", Project),
    policy(87, "SNID: collect from the cancer registry, of the past", Project),
    policy(88, "SNID: cancer registry to come", Project),
    policy(89, "SNID: provide the insurance number to the cancer registry, to come", Project),
    policy(90, "SNID: collect from the cancer registry, to come", Project),
    policy(91, "SNID: third parties", Project),
    policy(92, "SNID: provide medical data to third parties", Project),
    policy(93, "SNID: provide specimens to third parties", Project),
    policy(94, "SNID: getting in touch", Project),
    policy(95, "SNID: getting in touch about health after the study", Project),
    policy(96, "SNID: getting in touch to follow up", Project),
    policy(97, "SNID: getting in touch about further studies", Project),
    policy(98, "SNID: provide identifying data to other institutions", Project),
    policy(99, "SNID: general practitioner", Project),
    policy(100, "SNID: collect, store, use what the general practitioner has", Project),
    policy(101, "SNID: provide identifying data to the general practitioner", Project),
    policy(102, "DZPG: data, specimens, phenotypes", Project),
    policy(103, "DZPG: collect phenotypes", Project),
    policy(104, "DZPG: store medical data", Project),
    policy(105, "DZPG: use medical data for science", Project),
    policy(106, "DZPG: link medical data with third parties", Project),
    policy(107, "DZPG: take further specimens", Project),
    policy(108, "DZPG: store further specimens", Project),
    policy(109, "DZPG: use specimens for science", Project),
    policy(110, "DZPG: link results of specimens with third parties", Project),
    policy(111, "DZPG: neurology and imaging", Project),
    policy(112, "DZPG: collect images", Project),
    policy(113, "DZPG: store images", Project),
    policy(114, "DZPG: use images for science", Project),
    policy(115, "DZPG: link images with third parties", Project),
    policy(116, "DZPG: collect data of neurology", Project),
    policy(117, "DZPG: store data of neurology", Project),
    policy(118, "DZPG: use data of neurology for science", Project),
    policy(119, "DZPG: link data of neurology with third parties", Project),
    policy(120, "DZPG: stem cells", Project),
    policy(121, "DZPG: obtain data of stem cells", Project),
    policy(122, "DZPG: store data of stem cells", Project),
    policy(123, "DZPG: use data of stem cells for science", Project),
    policy(124, "DZPG: link data of stem cells with third parties", Project),
];

/// The policy of a number.
pub(super) fn numbered(number: u16) -> Option<&'static Policy> {
    POLICIES.get(usize::from(number).checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_at_its_place() {
        for (number, policy) in (1..).zip(POLICIES) {
            assert_eq!(policy.number, number);
            assert_eq!(numbered(number), Some(&policy));
            if let Module(parts) = policy.meaning {
                assert!(parts.iter().all(|part| {
                    numbered(*part).is_some_and(|policy| !matches!(policy.meaning, Module(_) | Inactive | Project))
                }));
            }
        }
        assert_eq!((numbered(0), numbered(125)), (None, None));
    }
}
