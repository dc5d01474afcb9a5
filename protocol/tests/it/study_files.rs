//! Study files: what is wrong with one is said where it is, and every problem at once.

use consilium_protocol::consent::{Promise, Purpose, Trait};
use consilium_protocol::policy::DisclosurePolicy;
use consilium_protocol::privacy::MicroRho;
use consilium_protocol::study::{Protection, SpecFileError, StudySpec, Totals};

const GOOD: &str = r#"
version = 1
title = "t"
description = "d"
purpose = "HMB"
declares = []
[cohort]
subject = "person_id"
sql = "SELECT person_id, x, g FROM person"
[[variable]]
name = "x"
min = 0
max = 10
resolution = 0.5
[[dimension]]
name = "g"
values = [1, 2]
[[statistic]]
name = "s"
kind = "mean"
of = "x"
by = ["g"]
"#;

fn problem(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    match StudySpec::from_toml(&GOOD.replace(from, to)) {
        Ok(_) => panic!("`{to}` instead of `{from}` is accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_example_and_the_base_are_fine() {
    assert!(StudySpec::from_toml(GOOD).is_ok());
    for file in ["glycaemia.toml", "incidence.toml", "latest.toml", "stroke.toml", "treatment.toml", "visits.toml"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/studies").join(file);
        StudySpec::from_toml(&std::fs::read_to_string(path).unwrap()).unwrap();
    }
}

#[test]
fn a_study_says_how_it_protects_and_is_guarded_when_it_does_not() {
    let read = |more: &str| StudySpec::from_toml(&GOOD.replace("purpose", &format!("{more}\npurpose")));
    assert_eq!(read("").unwrap().protection, Protection::Guarded);
    assert_eq!(read("protection = \"open\"").unwrap().protection, Protection::Open);
    let private = read("protection = \"private\"\nrho = 0.25").unwrap().protection;
    assert_eq!(private, Protection::Private { rho: MicroRho::new(250_000) });
    for (wrong, place) in [
        ("protection = \"none\"", "protection"),
        ("protection = \"private\"", "rho: is missing"),
        ("protection = \"private\"\nrho = 0", "rho: must be more than 0"),
        ("protection = \"private\"\nrho = 0.0000001", "rho"),
        ("rho = 0.1", "rho: belongs to a private study"),
        ("min_joint_count = 1000001", "min_joint_count"),
    ] {
        let error = read(wrong).unwrap_err().to_string();
        assert!(error.contains(place), "`{wrong}`: {error}");
    }
    let policy = DisclosurePolicy::default();
    assert_eq!(read("min_joint_count = 20").unwrap().threshold(&policy), 20);
    assert_eq!(read("min_joint_count = 5").unwrap().threshold(&policy), policy.min_joint_count);
}

#[test]
fn problems_name_their_place() {
    let table = [
        ("version = 1", "version = 2", "version 2"),
        ("title = \"t\"", "titel = \"t\"", "titel"),
        ("title = \"t\"", "title = \"\"", "title:"),
        ("\"HMB\"", "\"XYZ\"", "purpose"),
        ("\"HMB\"", "\"DS-\"", "purpose"),
        ("min = 0\n", "", "variable `x`, min:"),
        ("max = 10\n", "", "variable `x`, max:"),
        ("resolution = 0.5\n", "", "variable `x`, resolution:"),
        ("resolution = 0.5", "resolution = 0", "variable `x`, resolution:"),
        ("resolution = 0.5", "resolution = 0.000000001", "variable `x`, resolution:"),
        ("min = 0", "min = 10", "variable `x`, min:"),
        ("max = 10", "max = 1e400", ""),
        ("values = [1, 2]", "values = [1, 1]", "dimension `g`, values:"),
        ("values = [1, 2]", "values = [1, \"a\"]", "dimension `g`, values:"),
        ("values = [1, 2]", "values = []", "dimension `g`, values:"),
        ("values = [1, 2]", "edges = [2, 1]", "dimension `g`, edges:"),
        ("values = [1, 2]", "values = [1]\nedges = [1, 2]", "dimension `g`, values:"),
        ("values = [1, 2]", "values = [{ value = 1, label = \"other\" }]", "dimension `g`, values:"),
        ("name = \"g\"", "name = \"person_id\"", "dimension `person_id`, name:"),
        ("name = \"x\"", "name = \"person_id\"", "variable `person_id`, name:"),
        ("by = [\"g\"]", "by = [\"h\"]", "statistic `s`, by:"),
        ("by = [\"g\"]", "by = [\"g\", \"g\"]", "statistic `s`, by:"),
        ("of = \"x\"", "of = \"y\"", "statistic `s`, of:"),
        ("of = \"x\"\n", "", "statistic `s`, of:"),
        ("kind = \"mean\"", "kind = \"median\"", "median"),
        ("kind = \"mean\"", "kind = \"histogram\"", "statistic `s`, edges:"),
        ("kind = \"mean\"\nof = \"x\"", "kind = \"crosstab\"", "statistic `s`, by:"),
        ("kind = \"mean\"\nof = \"x\"", "kind = \"count\"\nof = \"x\"", "statistic `s`, of:"),
        ("name = \"s\"", "name = \"\"", "statistic 1, name:"),
        ("subject = \"person_id\"", "subject = \"Person\"", "cohort.subject"),
    ];
    for (from, to, place) in table {
        let text = problem(from, to);
        assert!(text.contains(place), "`{to}`: {text}");
    }
}

#[test]
fn common_mistakes_are_told_what_to_do() {
    let table = [
        ("resolution = 0.5", "resolution = 1000", "use a finer one"),
        ("resolution = 0.5", "resolution = 0", "must be more than 0"),
        ("resolution = 0.5", "resolution = -1", "must be more than 0"),
        ("resolution = 0.5", "resolution = 0.000000001", "use a coarser one"),
        ("[[variable]]", "[variable]", "[[variable]], [[dimension]]"),
        ("by = [\"g\"]", "by = [\"g\"]\nmin_joint_count = 20", "belongs above the first line in brackets"),
        ("kind = \"mean\"", "kind = \"median\"", "kind = \"histogram\""),
        ("version = 1", "version = 1\nmin_joint_count = \"many\"", "expected a whole number from 0"),
        ("values = [1, 2]", "values = [\"winter\", \"other\"]", "write { value = \"other\", label = \"rest\" }"),
        (
            "values = [1, 2]",
            "values = [1, 2]\ncoarser = [[[\"a\", 2]]]",
            "its labels are \"1\", \"2\", \"other\", \"missing\"",
        ),
        ("values = [1, 2]", "edges = [18, 40, 65]\ncoarser = [[[\"18-40\"]]]", "\"18 to <40\", \"40 to <65\""),
    ];
    for (from, to, says) in table {
        let text = problem(from, to);
        assert!(text.contains(says), "`{to}`: {text}");
        assert!(!text.contains("a sequence") && !text.contains("u32"), "`{to}`: {text}");
    }
    assert!(!problem("min = 0", "min = 20").contains("resolution"));
    // Whole numbers are labels as they stand.
    let merged = GOOD.replace("values = [1, 2]", "values = [1, 2, 3]\ncoarser = [[[1, 2]]]");
    assert_eq!(StudySpec::from_toml(&merged).unwrap().dimensions[0].coarser, [[0, 0, 1, 2, 3]]);
}

#[test]
fn a_study_says_what_it_is_for_and_what_it_declares_to_be() {
    let read = |from: &str, to: &str| StudySpec::from_toml(&GOOD.replace(from, to));
    let more = "declares = [\"genetic\", \"commercial\", \"genetic\"]\npromises = [\"return\", \"publication\"]\n\
        collaborators = [\"b\", \"a\", \"b\"]\npublishes_from = \"2027-01-01\"\n\
        ethics = { body = \"Committee\", document = \"0707070707070707070707070707070707070707070707070707070707070707\" }";
    let spec = read("declares = []", more).unwrap();
    assert_eq!(spec.declared.traits, [Trait::Commercial, Trait::Genetic]);
    assert_eq!(spec.declared.promises, [Promise::Publication, Promise::Return]);
    assert_eq!(spec.declared.collaborators, ["a", "b"]);
    assert_eq!(spec.declared.publishes_from, "2027-01-01".parse().ok());
    assert!(spec.declared.ethics.as_ref().unwrap().is_named());
    assert_eq!(StudySpec::from_canonical(&spec.to_canonical()), Ok(spec.clone()));
    let several = read("\"HMB\"", "[\"POA\", \"DS-M:1\", \"GRU\", \"POA\"]").unwrap();
    assert_eq!(several.purposes_in_short(), "GRU, DS-M:1, POA");
    assert_eq!(StudySpec::from_canonical(&several.to_canonical()), Ok(several));
    let many = |count: usize| format!("[{}]", (0..count).map(|i| format!("\"DS-M:{i}\",")).collect::<String>());
    assert!(read("\"HMB\"", &many(16)).is_ok());
    let zeros = "0".repeat(64);
    for (from, to, says) in [
        ("declares = []\n", "", "declares: is missing"),
        ("declares = []", "declares = [\"harmless\"]", "harmless"),
        ("declares = []", "declares = \"genetic\"", "declares"),
        ("\"HMB\"", "[]", "purpose: must be 1 to 16"),
        ("\"HMB\"", &many(17), "purpose: must be 1 to 16"),
        ("\"HMB\"", "\"NRES\"", "purpose: must be one of a study"),
        ("\"HMB\"", "\"CC\"", "purpose: must be one of a study"),
        ("\"HMB\"", "[\"HMB\", \"ETREAT\"]", "purpose: must be one of a study"),
        ("\"HMB\"", "[\"HMB\", \"XYZ\"]", "a purpose is GRU"),
        ("declares = []", "declares = []\npromises = [\"peace\"]", "peace"),
        ("declares = []", "declares = []\ncollaborators = [\" \"]", "collaborators:"),
        ("declares = []", "declares = []\ncollaborators = [\"a\\nb\"]", "collaborators:"),
        ("declares = []", "declares = []\nethics = { body = \"Committee\" }", "document"),
        ("declares = []", &format!("declares = []\nethics = {{ body = \" \", document = \"{zeros}\" }}"), "ethics:"),
        ("declares = []", &format!("declares = []\nethics = {{ body = \"C\", document = \"{zeros}\" }}"), "ethics:"),
        ("declares = []", "declares = []\npublishes_from = \"soon\"", "publishes_from"),
        ("by = [\"g\"]", "by = [\"g\"]\npromises = []", "belongs above the first line in brackets"),
    ] {
        let error = read(from, to).unwrap_err().to_string();
        assert!(error.contains(says), "`{to}`: {error}");
    }
    // What another program might write: in another order, twice, or for what no study is for.
    let forge = |change: &dyn Fn(&mut StudySpec)| {
        let mut forged = spec.clone();
        change(&mut forged);
        StudySpec::from_canonical(&forged.to_canonical())
    };
    assert!(forge(&|_| {}).is_ok());
    let changes: [&dyn Fn(&mut StudySpec); 9] = [
        &|spec| spec.purposes = vec![],
        &|spec| spec.purposes = vec![Purpose::HealthResearch, Purpose::GeneralResearch],
        &|spec| spec.purposes = vec![Purpose::HealthResearch, Purpose::HealthResearch],
        &|spec| spec.purposes = vec![Purpose::NoRestriction],
        &|spec| spec.purposes = vec![Purpose::HealthResearch, Purpose::Care],
        &|spec| spec.declared.traits = vec![Trait::Genetic, Trait::Commercial],
        &|spec| spec.declared.promises = vec![Promise::Return, Promise::Return],
        &|spec| spec.declared.collaborators = vec!["b".to_string(), "a".to_string()],
        &|spec| spec.declared.ethics.as_mut().unwrap().body.clear(),
    ];
    for (position, change) in changes.into_iter().enumerate() {
        assert!(forge(change).is_err(), "change {position}");
    }
}

#[test]
fn all_problems_are_said_at_once() {
    let text = GOOD.replace("of = \"x\"", "of = \"y\"").replace("by = [\"g\"]", "by = [\"h\"]");
    match StudySpec::from_toml(&text) {
        Err(SpecFileError::Invalid(problems)) => assert_eq!(problems.len(), 2, "{problems:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn gigantic_files_are_refused() {
    let text = format!("{GOOD}# {}", "x".repeat(1 << 20));
    assert_eq!(StudySpec::from_toml(&text), Err(SpecFileError::TooLong));
    let many: String = (0..70).map(|i| format!("[[statistic]]\nname = \"n{i}\"\nkind = \"count\"\n")).collect();
    assert!(StudySpec::from_toml(&format!("{GOOD}{many}")).is_err());
}

#[test]
fn sets_of_concepts_are_sorted_and_checked() {
    let with = |sets: &str| StudySpec::from_toml(&GOOD.replace("[[variable]]", &format!("{sets}\n[[variable]]")));
    let set = |name: &str, more: &str| format!("[[concept_set]]\nname = \"{name}\"\n{more}\n");
    let spec =
        with(&(set("b", "include = [3, 1, 3]\nexclude = [9, 2]\ndescendants = true") + &set("a", "include = [7]")))
            .unwrap();
    let [a, b] = &spec.cohort.concept_sets[..] else { panic!("{:?}", spec.cohort) };
    assert_eq!((a.name.as_str(), &a.include[..], a.descendants), ("a", &[7][..], false));
    assert_eq!((b.name.as_str(), &b.include[..], &b.exclude[..], b.descendants), ("b", &[1, 3][..], &[2, 9][..], true));
    assert_eq!(StudySpec::from_canonical(&spec.to_canonical()), Ok(spec.clone()));
    for (sets, says) in [
        (set("a", "include = []"), "no concept"),
        (set("a", "include = [-1]"), "include"),
        (set("a", "include = [4294967296]"), "include"),
        (set("A b", "include = [1]"), "a-z"),
        (set("persons", "include = [1]"), "name of a view"),
        (set("a", "include = [1]") + &set("a", "include = [2]"), "one name"),
        (set("a", "include = [1]\nmapped = true"), "mapped"),
    ] {
        let error = with(&sets).unwrap_err().to_string();
        assert!(error.contains(says), "{sets}: {error}");
    }
    // What another program might write: the canonical form is one.
    let mut unsorted = spec.clone();
    unsorted.cohort.concept_sets.reverse();
    assert!(StudySpec::from_canonical(&unsorted.to_canonical()).is_err());
    let mut twice = spec;
    twice.cohort.concept_sets[1].include = vec![3, 1];
    assert!(StudySpec::from_canonical(&twice.to_canonical()).is_err());
    let long: Vec<String> = (0..60_000).map(|concept| concept.to_string()).collect();
    let error = with(&set("a", &format!("include = [{}]", long.join(", ")))).unwrap_err().to_string();
    assert!(error.contains("list fewer concepts"), "{error}");
}

#[test]
fn totals_are_hidden_in_guarded_studies_of_counts() {
    let counted = GOOD.replace("kind = \"mean\"\nof = \"x\"", "kind = \"count\"");
    let read = |text: &str, more: &str| StudySpec::from_toml(&text.replace("purpose", &format!("{more}\npurpose")));
    assert_eq!(read(&counted, "").unwrap().totals, Totals::Shown);
    let hidden = read(&counted, "totals = \"hidden\"").unwrap();
    assert_eq!(hidden.totals, Totals::Hidden);
    assert_eq!(StudySpec::from_canonical(&hidden.to_canonical()), Ok(hidden));
    for (text, more) in [
        (GOOD, "totals = \"hidden\""),
        (&counted, "totals = \"hidden\"\nprotection = \"open\""),
        (&counted, "totals = \"merged\""),
    ] {
        let error = read(text, more).unwrap_err().to_string();
        assert!(error.contains("totals"), "{more}: {error}");
    }
}

#[test]
fn a_dimension_says_how_its_categories_are_merged() {
    let values = "values = [1, 2, { value = 3, label = \"three\" }]";
    let of = |coarser: &str| {
        StudySpec::from_toml(&GOOD.replace("values = [1, 2]", &format!("{values}\ncoarser = [{coarser}]")))
    };
    let spec = of("[[\"2\", \"three\"]], [[\"three\", \"2\"], [\"1\", \"other\", \"missing\"]]").unwrap();
    assert_eq!(spec.dimensions[0].coarser, [[0, 1, 1, 2, 3], [0, 1, 1, 0, 0]]);
    assert_eq!(StudySpec::from_canonical(&spec.to_canonical()), Ok(spec));
    assert!(of("").unwrap().dimensions[0].coarser.is_empty());
    for (coarser, what) in [
        ("[[\"2\", \"four\"]]", "a category that the dimension does not have"),
        ("[[\"2\", \"three\"], [\"three\", \"1\"]]", "twice on one level"),
        ("[[\"1\", \"2\"]], [[\"2\", \"three\"]]", "merges groups of the one before"),
        ("[[\"1\", \"2\"]], [[\"1\", \"2\"]]", "merges groups of the one before"),
        ("[[\"1\", \"2\", \"three\", \"other\", \"missing\"]]", "leaves two groups at least"),
        ("[]", "merges groups of the one before"),
    ] {
        let error = of(coarser).unwrap_err().to_string();
        assert!(error.contains("dimension `g`, coarser:") && error.contains(what), "{coarser}: {error}");
    }
    let open = GOOD.replace("purpose", "protection = \"open\"\npurpose");
    let open = open.replace("values = [1, 2]", &format!("{values}\ncoarser = [[[\"2\", \"three\"]]]"));
    assert!(StudySpec::from_toml(&open).unwrap_err().to_string().contains("guarded studies only"));
    // Of bytes that were not written here, whatever they hold.
    let mut forged = of("[[\"2\", \"three\"]]").unwrap();
    for level in [vec![], vec![0; 4], vec![0, 1, 1, 2, 9], vec![1, 0, 0, 2, 3]] {
        forged.dimensions[0].coarser = vec![level.clone()];
        assert!(StudySpec::from_canonical(&forged.to_canonical()).is_err(), "{level:?}");
    }
}

/// The pieces of TOML on the page for researchers.
fn examples(page: &str) -> Vec<&str> {
    page.split("```toml\n").skip(1).map(|block| block.split_once("```").unwrap().0).collect()
}

#[test]
fn the_page_for_researchers_has_every_field_with_its_place() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/study.md")).unwrap();
    let rows: Vec<Vec<&str>> = page.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
    let of_kind = |kind: &str| format!("{GOOD}\n[[{kind}]]\nnowhere = 1\n");
    for (place, text) in [
        ("the top", format!("nowhere = 1\n{GOOD}")),
        ("`[cohort]`", GOOD.replace("[cohort]", "[cohort]\nnowhere = 1")),
        ("`[[concept_set]]`", of_kind("concept_set")),
        ("`[[variable]]`", of_kind("variable")),
        ("`[[dimension]]`", of_kind("dimension")),
        ("`[[statistic]]`", of_kind("statistic")),
    ] {
        let said = StudySpec::from_toml(&text).unwrap_err().to_string();
        let (_, fields) = said.split_once("unknown field `nowhere`, expected ").unwrap();
        let fields: Vec<&str> = fields.split('`').skip(1).step_by(2).collect();
        assert!(fields.len() > 1, "{said}");
        let first = rows.iter().position(|row| row.len() == 6 && row[1] == place).unwrap_or_else(|| panic!("{place}"));
        let own = rows[first + 1..].iter().take_while(|row| row.len() == 6 && row[1].is_empty());
        let shown: Vec<&str> = rows[first..=first].iter().chain(own).map(|row| row[2]).collect();
        let is_heading =
            |field: &str| rows.iter().any(|row| row.len() == 6 && row[1].trim_matches(&['`', '[', ']'][..]) == field);
        for field in fields.into_iter().filter(|field| !is_heading(field)) {
            assert!(shown.iter().any(|row| row.contains(&format!("`{field}`"))), "{place} lacks `{field}`: {shown:?}");
        }
    }
}

#[test]
fn the_examples_of_the_page_for_researchers_are_studies() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/study.md")).unwrap();
    let examples = examples(&page);
    let (whole, parts) = examples.split_first().unwrap();
    StudySpec::from_toml(whole).unwrap();
    let kind =
        |part: &&str| StudySpec::from_toml(&format!("{whole}\n{part}")).unwrap().statistics.last().unwrap().kind.name();
    assert!(parts.iter().map(kind).any(|kind| kind == "histogram"));
}
