//! The OMOP concepts that synthetic patients use, with their standard ids, names and codes.
//!
//! Source: the OHDSI standardized vocabularies (Athena). A store's CONCEPT table is this list.

/// A row of the CONCEPT table.
#[derive(Debug)]
pub(super) struct Concept {
    pub(super) id: i64,
    pub(super) name: &'static str,
    pub(super) domain: &'static str,
    pub(super) vocabulary: &'static str,
    pub(super) class: &'static str,
    /// Code in the concept's own vocabulary, which is also what the hospital is taken to have recorded.
    pub(super) code: &'static str,
}

/// Concepts are the same if their ids are.
impl PartialEq for Concept {
    fn eq(&self, other: &Concept) -> bool {
        self.id == other.id
    }
}

impl Eq for Concept {}

impl Concept {
    const fn new(
        id: i64,
        name: &'static str,
        [domain, vocabulary, class]: [&'static str; 3],
        code: &'static str,
    ) -> Concept {
        Concept { id, name, domain, vocabulary, class, code }
    }

    /// Whether the concept stands for something: all but "no matching concept" do.
    pub(super) fn matches(&self) -> bool {
        self.id != NO_MATCH.id
    }
}

const GENDER: [&str; 3] = ["Gender", "Gender", "Gender"];
const RACE: [&str; 3] = ["Race", "Race", "Race"];
const ETHNICITY: [&str; 3] = ["Ethnicity", "Ethnicity", "Ethnicity"];
const VISIT: [&str; 3] = ["Visit", "Visit", "Visit"];
const TYPE: [&str; 3] = ["Type Concept", "Type Concept", "Type Concept"];
const DISORDER: [&str; 3] = ["Condition", "SNOMED", "Disorder"];
const INGREDIENT: [&str; 3] = ["Drug", "RxNorm", "Ingredient"];
const LAB_TEST: [&str; 3] = ["Measurement", "LOINC", "Lab Test"];
const UNIT: [&str; 3] = ["Unit", "UCUM", "Unit"];

pub(super) static NO_MATCH: Concept =
    Concept::new(0, "No matching concept", ["Metadata", "None", "Undefined"], "No matching concept");

pub(super) static MALE: Concept = Concept::new(8507, "MALE", GENDER, "M");
pub(super) static FEMALE: Concept = Concept::new(8532, "FEMALE", GENDER, "F");

pub(super) static WHITE: Concept = Concept::new(8527, "White", RACE, "5");
pub(super) static ASIAN: Concept = Concept::new(8515, "Asian", RACE, "2");
pub(super) static BLACK: Concept = Concept::new(8516, "Black or African American", RACE, "3");

pub(super) static HISPANIC: Concept = Concept::new(38003563, "Hispanic or Latino", ETHNICITY, "Hispanic");
pub(super) static NOT_HISPANIC: Concept = Concept::new(38003564, "Not Hispanic or Latino", ETHNICITY, "Not Hispanic");

pub(super) static INPATIENT: Concept = Concept::new(9201, "Inpatient Visit", VISIT, "IP");
pub(super) static OUTPATIENT: Concept = Concept::new(9202, "Outpatient Visit", VISIT, "OP");
pub(super) static EMERGENCY: Concept = Concept::new(9203, "Emergency Room Visit", VISIT, "ER");

/// Provenance of every synthetic record: the hospital's own record system.
pub(super) static EHR: Concept = Concept::new(32817, "EHR", TYPE, "OMOP4976890");

pub(super) static DIABETES: Concept = Concept::new(201826, "Type 2 diabetes mellitus", DISORDER, "44054006");
pub(super) static HYPERTENSION: Concept = Concept::new(320128, "Essential hypertension", DISORDER, "59621000");
pub(super) static HYPERLIPIDEMIA: Concept = Concept::new(432867, "Hyperlipidemia", DISORDER, "55822004");
pub(super) static KIDNEY_DISEASE: Concept = Concept::new(46271022, "Chronic kidney disease", DISORDER, "709044004");
pub(super) static ATRIAL_FIBRILLATION: Concept = Concept::new(313217, "Atrial fibrillation", DISORDER, "49436004");
pub(super) static CEREBRAL_INFARCTION: Concept = Concept::new(443454, "Cerebral infarction", DISORDER, "432504007");
pub(super) static MYOCARDIAL_INFARCTION: Concept = Concept::new(4329847, "Myocardial infarction", DISORDER, "22298006");
pub(super) static PNEUMONIA: Concept = Concept::new(255848, "Pneumonia", DISORDER, "233604007");
pub(super) static ASTHMA: Concept = Concept::new(317009, "Asthma", DISORDER, "195967001");

pub(super) static METFORMIN: Concept = Concept::new(1503297, "metformin", INGREDIENT, "6809");
pub(super) static LISINOPRIL: Concept = Concept::new(1308216, "lisinopril", INGREDIENT, "29046");
pub(super) static AMLODIPINE: Concept = Concept::new(1332418, "amlodipine", INGREDIENT, "17767");
pub(super) static ATORVASTATIN: Concept = Concept::new(1545958, "atorvastatin", INGREDIENT, "83367");
pub(super) static ASPIRIN: Concept = Concept::new(1112807, "aspirin", INGREDIENT, "1191");
pub(super) static WARFARIN: Concept = Concept::new(1310149, "warfarin", INGREDIENT, "11289");
pub(super) static ALBUTEROL: Concept = Concept::new(1154343, "albuterol", INGREDIENT, "435");

pub(super) static HBA1C: Concept =
    Concept::new(3004410, "Hemoglobin A1c/Hemoglobin.total in Blood", LAB_TEST, "4548-4");
pub(super) static CREATININE: Concept =
    Concept::new(3016723, "Creatinine [Mass/volume] in Serum or Plasma", LAB_TEST, "2160-0");

pub(super) static PERCENT: Concept = Concept::new(8554, "percent", UNIT, "%");
pub(super) static MILLIGRAM_PER_DECILITER: Concept = Concept::new(8840, "milligram per deciliter", UNIT, "mg/dL");

/// Every concept of a synthetic store.
pub(super) static CONCEPTS: [&Concept; 32] = [
    &NO_MATCH,
    &MALE,
    &FEMALE,
    &WHITE,
    &ASIAN,
    &BLACK,
    &HISPANIC,
    &NOT_HISPANIC,
    &INPATIENT,
    &OUTPATIENT,
    &EMERGENCY,
    &EHR,
    &DIABETES,
    &HYPERTENSION,
    &HYPERLIPIDEMIA,
    &KIDNEY_DISEASE,
    &ATRIAL_FIBRILLATION,
    &CEREBRAL_INFARCTION,
    &MYOCARDIAL_INFARCTION,
    &PNEUMONIA,
    &ASTHMA,
    &METFORMIN,
    &LISINOPRIL,
    &AMLODIPINE,
    &ATORVASTATIN,
    &ASPIRIN,
    &WARFARIN,
    &ALBUTEROL,
    &HBA1C,
    &CREATININE,
    &PERCENT,
    &MILLIGRAM_PER_DECILITER,
];
