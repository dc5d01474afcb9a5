//! A small hospital with rows in every table that the studies of the library read, the same at every run.

use std::collections::BTreeMap;

use crate::hospital::{Dice, Rows, Value, day};

use Value::{Day, Int, Null, Real, Text};

/// How many patients it has.
pub(super) const PATIENTS: i64 = 300;

/// The column that tells patients apart, where a row of an answer is to be held against a row of another: no study reads it.
pub(super) const MARKER: &str = "race_source_concept_id";

const CONDITIONS: [i64; 9] = [201_826, 443_238, 320_128, 255_848, 317_009, 313_217, 4_329_847, 46_271_022, 440_383];
const DRUGS: [i64; 8] = [1_503_297, 40_164_885, 40_164_929, 1_310_149, 1_112_807, 1_545_958, 1_154_343, 1_713_332];
const METFORMIN: i64 = 1_503_297;

/// id, name, domain, vocabulary, class, standard, code
type Concept = (i64, &'static str, &'static str, &'static str, &'static str, bool, &'static str);

const CONCEPTS: [Concept; 21] = [
    (0, "No matching concept", "Metadata", "None", "Undefined", false, "No matching concept"),
    (8_507, "MALE", "Gender", "Gender", "Gender", true, "M"),
    (8_532, "FEMALE", "Gender", "Gender", "Gender", true, "F"),
    (9_201, "Inpatient Visit", "Visit", "Visit", "Visit", true, "IP"),
    (201_826, "Type 2 diabetes mellitus", "Condition", "SNOMED", "Disorder", true, "44054006"),
    (443_238, "Diabetic on insulin", "Condition", "SNOMED", "Disorder", true, "170747006"),
    (320_128, "Essential hypertension", "Condition", "SNOMED", "Disorder", true, "59621000"),
    (255_848, "Pneumonia", "Condition", "SNOMED", "Disorder", true, "233604007"),
    (317_009, "Asthma", "Condition", "SNOMED", "Disorder", true, "195967001"),
    (313_217, "Atrial fibrillation", "Condition", "SNOMED", "Disorder", true, "49436004"),
    (4_329_847, "Myocardial infarction", "Condition", "SNOMED", "Disorder", true, "22298006"),
    (46_271_022, "Chronic kidney disease", "Condition", "SNOMED", "Disorder", true, "709044004"),
    (440_383, "Depressive disorder", "Condition", "SNOMED", "Disorder", true, "35489007"),
    (METFORMIN, "metformin", "Drug", "RxNorm", "Ingredient", true, "6809"),
    (40_164_885, "metformin 500 MG", "Drug", "RxNorm", "Clinical Drug", true, "861007"),
    (40_164_929, "metformin 500 MG [brand]", "Drug", "RxNorm", "Branded Drug", true, "861008"),
    (1_310_149, "warfarin", "Drug", "RxNorm", "Ingredient", true, "11289"),
    (1_112_807, "aspirin", "Drug", "RxNorm", "Ingredient", true, "1191"),
    (1_545_958, "atorvastatin [brand]", "Drug", "RxNorm", "Branded Drug", true, "83367"),
    (1_154_343, "albuterol", "Drug", "RxNorm", "Ingredient", true, "435"),
    // None that is standard.
    (1_713_332, "amoxicillin", "Drug", "RxNorm", "Ingredient", false, "723"),
];

/// Ancestor and descendant, beside each concept itself.
const BELOW: [(i64, i64); 3] = [(201_826, 443_238), (METFORMIN, 40_164_885), (METFORMIN, 40_164_929)];

/// Tables that grow row by row.
struct Sample {
    dice: Dice,
    tables: BTreeMap<&'static str, Rows>,
}

/// Something that a patient has from a day to another.
type Spell = (i64, i32, i32);

impl Sample {
    fn table(&mut self, name: &'static str, columns: &str) {
        let columns = columns.split_whitespace().map(|column| &*column.to_string().leak()).collect();
        self.tables.insert(name, Rows { name, columns, rows: Vec::new() });
    }

    /// Adds a row; its number is the first field where the table has one.
    fn row(&mut self, name: &str, numbered: bool, fields: Vec<Value>) -> i64 {
        let table = self.tables.get_mut(name).expect("a table");
        let number = table.rows.len() as i64 + 1;
        let row: Vec<Value> = numbered.then_some(Int(number)).into_iter().chain(fields).collect();
        assert_eq!(row.len(), table.columns.len(), "{name}");
        table.rows.push(row);
        number
    }

    fn below(&mut self, end: i64) -> i64 {
        self.dice.roll(end as u64) as i64
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.dice.roll(sides) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.dice.roll(of.len() as u64) as usize]
    }

    fn or_null(&mut self, value: Value) -> Value {
        if self.one_in(8) { Null } else { value }
    }
}

fn moment(day: i32, hour: i64) -> Value {
    Text(format!("{} {hour:02}:30:00", consilium_protocol::ids::Date::from_days(day)))
}

/// Spells of one concept that lie at most 30 days apart as one, with how many there were.
fn eras(mut spells: Vec<Spell>) -> Vec<(Spell, i64)> {
    spells.sort_unstable();
    let mut eras: Vec<(Spell, i64)> = Vec::new();
    for (concept, start, end) in spells {
        match eras.last_mut() {
            Some(((of, _, last), count)) if *of == concept && start <= *last + 30 => {
                *last = end.max(*last);
                *count += 1;
            }
            _ => eras.push(((concept, start, end), 1)),
        }
    }
    eras
}

/// The tables.
pub(super) fn tables() -> Vec<Rows> {
    let mut sample = Sample { dice: Dice::new(0x11B), tables: BTreeMap::new() };
    for (name, columns) in COLUMNS {
        sample.table(name, columns);
    }
    for (id, name, domain, vocabulary, class, standard, code) in CONCEPTS {
        let text = |text: &str| Text(text.to_string());
        let standard = if standard { text("S") } else { Null };
        let fields = [text(name), text(domain), text(vocabulary), text(class), standard, text(code)];
        let dates = [Day(day("1970-01-01")), Day(day("2099-12-31")), Null];
        sample.row("concept", false, [vec![Int(id)], fields.to_vec(), dates.to_vec()].concat());
        sample.row("concept_ancestor", false, vec![Int(id), Int(id), Int(0), Int(0)]);
    }
    for (above, below) in BELOW {
        sample.row("concept_ancestor", false, vec![Int(above), Int(below), Int(1), Int(1)]);
    }
    for (drug, condition, how) in [
        (METFORMIN, 201_826, "May treat"),
        (METFORMIN, 443_238, "May treat"),
        (METFORMIN, 46_271_022, "CI to"),
        (1_310_149, 313_217, "May treat"),
    ] {
        let fields = vec![
            Int(drug),
            Int(condition),
            Text(how.to_string()),
            Day(day("1970-01-01")),
            Day(day("2099-12-31")),
            Null,
        ];
        sample.row("concept_relationship", false, fields);
    }
    (1..=PATIENTS).for_each(|n| patient(&mut sample, n));
    sample.tables.into_values().collect()
}

fn patient(sample: &mut Sample, n: i64) {
    let id = Int(1_000 + 7 * n);
    let born = Int(1_930 + sample.below(72));
    let (month, sex) = (1 + sample.below(12), sample.pick(&[8_507, 8_532]));
    let (month, race) = (sample.or_null(Int(month)), sample.pick(&[8_527, 8_527, 8_516, 8_515, 0]));
    let ethnicity = sample.pick(&[38_003_563, 38_003_564]);
    sample.row("person", false, vec![id.clone(), Int(sex), born, month, Int(race), Int(ethnicity), Int(5_000 + n)]);

    let start = day("2010-01-01") + sample.below(1_800) as i32;
    let mut end = start + 300 + sample.below(1_500) as i32;
    let mut periods = vec![(start, end)];
    if sample.one_in(3) {
        let again = end + 60 + sample.below(300) as i32;
        end = again + 200 + sample.below(900) as i32;
        periods.push((again, end));
    }
    for (from, to) in periods {
        sample.row("observation_period", true, vec![id.clone(), Day(from), Day(to), Int(32_817)]);
    }
    if sample.one_in(5) {
        let cause = sample.pick(&[4_329_847, 313_217, 255_848, 317_009, 440_383]);
        let cause = sample.or_null(Int(cause));
        sample.row("death", false, vec![id.clone(), Day(end), cause]);
    }
    let mut from = start;
    for _ in 0..=sample.below(3) {
        let to = from + 200 + sample.below(600) as i32;
        let payer = Int(sample.pick(&[280, 289, 327]));
        sample.row("payer_plan_period", true, vec![id.clone(), Day(from), Day(to), payer]);
        from = to + 1;
    }
    let (mut conditions, mut drugs) = (Vec::new(), Vec::new());
    for _ in 0..3 + sample.below(9) {
        let date = start + sample.below(i64::from(end - start)) as i32;
        visit(sample, &id, date, &mut conditions, &mut drugs);
    }
    for ((concept, from, to), count) in eras(conditions) {
        sample.row("condition_era", true, vec![id.clone(), Int(concept), Day(from), Day(to), Int(count)]);
    }
    for ((concept, from, to), count) in eras(drugs) {
        sample.row("drug_era", true, vec![id.clone(), Int(concept), Day(from), Day(to), Int(count), Int(0)]);
    }
}

fn visit(sample: &mut Sample, id: &Value, date: i32, conditions: &mut Vec<Spell>, drugs: &mut Vec<Spell>) {
    let kind = sample.pick(&[9_202, 9_202, 9_201, 9_201, 9_203]);
    let until = if kind == 9_201 { date + 1 + sample.below(14) as i32 } else { date };
    let (from_hour, to_hour) = (sample.below(12), 12 + sample.below(12));
    let left_to = sample.pick(&[8_536, 8_863, 0]);
    let left_to = sample.or_null(Int(left_to));
    let times = [Day(date), moment(date, from_hour), Day(until), moment(until, to_hour)];
    let fields = [vec![id.clone(), Int(kind)], times.to_vec(), vec![Int(0), left_to]].concat();
    let visit = Int(sample.row("visit_occurrence", true, fields));
    if kind == 9_201 && sample.one_in(2) {
        let ward = sample.pick(&[32_037, 32_037, 8_717]);
        sample.row("visit_detail", true, vec![id.clone(), Int(ward), Day(date), Day(date + 1), visit.clone()]);
    }
    for _ in 0..sample.below(4) {
        let concept = sample.pick(&CONDITIONS);
        let last = date + sample.below(60) as i32;
        let ends = sample.or_null(Day(last));
        conditions.push((concept, date, last));
        sample.row("condition_occurrence", true, vec![id.clone(), Int(concept), Day(date), ends, visit.clone()]);
    }
    for _ in 0..sample.below(4) {
        let concept = sample.pick(&DRUGS);
        let supply = sample.pick(&[7, 30, 60, 90]);
        let last = date + supply as i32;
        let ingredient = BELOW.iter().find(|(_, below)| *below == concept).map_or(concept, |(above, _)| *above);
        drugs.push((ingredient, date, last));
        let supplied = sample.or_null(Int(supply));
        let refills = sample.below(4);
        let refills = sample.or_null(Int(refills));
        let quantity = Real(sample.pick(&[15.0, 30.0, 62.5, 90.0]));
        let route = sample.pick(&[4_132_161, 4_171_047, 45_956_874]);
        let route = sample.or_null(Int(route));
        let fields =
            vec![id.clone(), Int(concept), Day(date), Day(last), refills, quantity, supplied, route, visit.clone()];
        sample.row("drug_exposure", true, fields);
    }
    if sample.one_in(4) {
        let concept = sample.pick(&[4_336_464, 4_163_872, 4_139_525]);
        sample.row("procedure_occurrence", true, vec![id.clone(), Int(concept), Day(date), Int(1), visit.clone()]);
    }
    if sample.one_in(12) {
        sample.row("device_exposure", true, vec![id.clone(), Int(4_048_942), Day(date), Null, visit.clone()]);
    }
    for (concept, unit, low) in [(3_004_410, 8_554, 40), (3_004_249, 8_876, 1_000), (3_016_723, 8_840, 5)] {
        if sample.one_in(2) {
            let value = (low + sample.below(low)) as f64 / 10.0;
            let value = sample.or_null(Real(value));
            let fields =
                vec![id.clone(), Int(concept), Day(date), moment(date, from_hour), value, Int(unit), visit.clone()];
            sample.row("measurement", true, fields);
        }
    }
    let smoking = Int(sample.pick(&[4_144_272, 4_310_250, 4_276_526, 0]));
    for (concept, value) in [(4_275_495, smoking), (439_224, Null)] {
        if sample.one_in(4) {
            sample.row("observation", true, vec![id.clone(), Int(concept), Day(date), Null, value, visit.clone()]);
        }
    }
}

const COLUMNS: [(&str, &str); 17] = [
    (
        "person",
        "person_id gender_concept_id year_of_birth month_of_birth race_concept_id ethnicity_concept_id race_source_concept_id",
    ),
    (
        "observation_period",
        "observation_period_id person_id observation_period_start_date observation_period_end_date period_type_concept_id",
    ),
    (
        "visit_occurrence",
        "visit_occurrence_id person_id visit_concept_id visit_start_date visit_start_datetime visit_end_date visit_end_datetime \
         admitted_from_concept_id discharged_to_concept_id",
    ),
    (
        "visit_detail",
        "visit_detail_id person_id visit_detail_concept_id visit_detail_start_date visit_detail_end_date visit_occurrence_id",
    ),
    (
        "condition_occurrence",
        "condition_occurrence_id person_id condition_concept_id condition_start_date condition_end_date visit_occurrence_id",
    ),
    (
        "condition_era",
        "condition_era_id person_id condition_concept_id condition_era_start_date condition_era_end_date condition_occurrence_count",
    ),
    (
        "drug_exposure",
        "drug_exposure_id person_id drug_concept_id drug_exposure_start_date drug_exposure_end_date refills quantity days_supply \
         route_concept_id visit_occurrence_id",
    ),
    (
        "drug_era",
        "drug_era_id person_id drug_concept_id drug_era_start_date drug_era_end_date drug_exposure_count gap_days",
    ),
    (
        "procedure_occurrence",
        "procedure_occurrence_id person_id procedure_concept_id procedure_date quantity visit_occurrence_id",
    ),
    (
        "device_exposure",
        "device_exposure_id person_id device_concept_id device_exposure_start_date device_exposure_end_date visit_occurrence_id",
    ),
    (
        "measurement",
        "measurement_id person_id measurement_concept_id measurement_date measurement_datetime value_as_number unit_concept_id \
         visit_occurrence_id",
    ),
    (
        "observation",
        "observation_id person_id observation_concept_id observation_date value_as_number value_as_concept_id visit_occurrence_id",
    ),
    ("death", "person_id death_date cause_concept_id"),
    (
        "payer_plan_period",
        "payer_plan_period_id person_id payer_plan_period_start_date payer_plan_period_end_date payer_concept_id",
    ),
    (
        "concept",
        "concept_id concept_name domain_id vocabulary_id concept_class_id standard_concept concept_code valid_start_date \
         valid_end_date invalid_reason",
    ),
    ("concept_ancestor", "ancestor_concept_id descendant_concept_id min_levels_of_separation max_levels_of_separation"),
    (
        "concept_relationship",
        "concept_id_1 concept_id_2 relationship_id valid_start_date valid_end_date invalid_reason",
    ),
];
