//! Files as hospitals have them: in order, and not.

use std::fs;
use std::path::Path;

use consilium_engine::store::{Store, StoreConfig, StoreError};

use super::hospital;

async fn open(folder: &Path) -> Result<Store, StoreError> {
    Store::open(&StoreConfig::of(folder.to_path_buf()), &[]).await
}

/// What is said of one more file beside a good PERSON: of its table, or of a column.
async fn said_of(file: &str, content: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("PERSON.csv"), "person_id,gender_concept_id\n1,8507\n2,8532\n").expect("written");
    fs::write(folder.path().join(file), content).expect("written");
    let summary = open(folder.path()).await.expect("an open store").summary();
    let all = format!("{summary:?}");
    assert!(!all.contains("CANARY") && !all.contains("9876543"), "{all}");
    if let [unreadable] = &summary.unreadable[..] {
        return unreadable.reason.clone();
    }
    let columns = summary.tables.iter().flat_map(|table| &table.unreadable);
    columns.map(|column| format!("{}: {}", column.name, column.what)).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn what_is_wrong_is_named_by_file_line_and_column_but_never_by_value() {
    assert!(matches!(open(Path::new("/no/such/folder")).await, Err(StoreError::NoFolder { .. })));
    let empty = tempfile::tempdir().expect("a folder");
    assert_eq!(open(empty.path()).await.err(), Some(StoreError::NoPerson));
    let header = "condition_occurrence_id,person_id,condition_concept_id,condition_start_date\n";
    let condition = |rows: &str| format!("{header}{rows}").into_bytes();
    let file = "condition_occurrence.csv";
    let row = |line| StoreError::MalformedRow { file: file.to_string(), line }.to_string();
    assert_eq!(said_of(file, &condition("1,1,201826,2020-01-01\n2,CANARY,9876543\n")).await, row(3));
    assert_eq!(said_of(file, &condition("1,1,201826,2020-01-01,CANARY\n")).await, row(2));
    assert_eq!(said_of(file, &condition("1,1,\"CANARY,2020-01-01\n2,2,9876543,2020-01-01\n")).await, row(2));
    // Two stray quotation marks with lines between them that would be lost.
    let stray = "1,1,201826,2020-01-01\n2,1,\"CANARY\n3,1,201826,2020-01-01\n4,1,\"CANARY,2020-01-01\n";
    assert_eq!(said_of(file, &condition(stray)).await, row(3));
    let quoted = "1,1,201826,2020-01-01,\"two\nlines, and \"\"marks\"\"\"\n";
    assert_eq!(said_of(file, format!("{},note\n{quoted}", header.trim_end()).as_bytes()).await, "");
    let text = said_of(file, &condition("1,1,201826,2020-01-01\n2,1,CANARY 9876543,2020-01-01\n")).await;
    assert_eq!(text, "condition_concept_id: 1 value is not a whole number (line 3)");
    let date = said_of(file, &condition("1,1,201826,9876543\n")).await;
    assert_eq!(date, "condition_start_date: 1 value is not a date (YYYY-MM-DD) (line 2)");
    let latin = said_of(file, &[header.as_bytes(), b"1,1,\xE9CANARY,\n"].concat()).await;
    assert_eq!(latin, "condition_concept_id: 1 value is not a whole number (line 2)");
    let nobodys = said_of(file, b"condition_concept_id,condition_start_date\n1,2020-01-01\n").await;
    let missing = StoreError::MissingColumn { file: file.to_string(), column: "person_id".to_string() };
    assert_eq!(nobodys, missing.to_string());
    let twice = said_of(file, b"person_id,PERSON_ID,condition_start_date\n1,1,2020-01-01\n").await;
    assert!(twice.contains("`person_id`") && twice.contains("two columns of that name"), "{twice}");
    let no_parquet = said_of("measurement.parquet", b"CANARY 9876543, and no Parquet at all").await;
    assert_eq!(no_parquet, StoreError::Damaged { file: "measurement.parquet".to_string() }.to_string());
}

#[tokio::test]
async fn persons_have_one_number_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let person = folder.path().join("person.csv");
    fs::write(&person, "person_id,year_of_birth\n1,1950\n,1951\n").expect("written");
    assert_eq!(
        open(folder.path()).await.err(),
        Some(StoreError::NullPerson { file: "person.csv".to_string(), rows: 1, places: "line 3".to_string() })
    );
    fs::write(&person, "person_id,year_of_birth\n1,1950\n2,1951\n1,1952\n").expect("written");
    assert_eq!(
        open(folder.path()).await.err(),
        Some(StoreError::DuplicatePerson {
            file: "person.csv".to_string(),
            people: 1,
            places: "lines 2, 4".to_string()
        })
    );
    fs::write(folder.path().join("PERSON.parquet"), "x").expect("written");
    assert!(matches!(open(folder.path()).await, Err(StoreError::TwoSources { .. })));
}

#[tokio::test]
async fn a_parquet_file_cut_anywhere_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    hospital::write_parquet(folder.path());
    let file = folder.path().join("measurement.parquet");
    let whole = fs::read(&file).expect("a file");
    for length in [1, 4, 100, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        fs::write(&file, &whole[..length]).expect("written");
        let summary = hospital::open(folder.path()).await.summary();
        let damaged = StoreError::Damaged { file: "measurement.parquet".to_string() }.to_string();
        let [unreadable] = &summary.unreadable[..] else { panic!("{length}: {summary:?}") };
        assert_eq!((unreadable.name.as_str(), &unreadable.reason), ("measurement", &damaged), "{length}");
    }
}

#[tokio::test]
async fn a_parquet_file_that_changes_under_a_query_is_an_error_and_no_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    hospital::write_parquet(folder.path());
    let store = hospital::open(folder.path()).await;
    let file = folder.path().join("measurement.parquet");
    let mut bytes = fs::read(&file).expect("a file");
    // The pages, but not the footer.
    let middle = bytes.len() / 3;
    bytes[4..middle].fill(0xFF);
    fs::write(&file, bytes).expect("written");
    let sql = "SELECT person_id AS subject, max(value_as_number) AS x FROM measurement GROUP BY person_id";
    let error = hospital::cohort(&store, sql, &["x"]).await.expect_err("refused");
    assert_eq!(error, consilium_engine::cohort::CohortError::StoreChanged);
    fs::remove_file(&file).expect("removed");
    let error = hospital::cohort(&store, sql, &["x"]).await.expect_err("refused");
    assert_eq!(error, consilium_engine::cohort::CohortError::StoreChanged);
}

#[tokio::test]
async fn a_summary_says_what_is_readable_what_is_not_and_what_is_no_table() {
    let folder = tempfile::tempdir().expect("a folder");
    hospital::write_csv(folder.path());
    fs::write(folder.path().join("DEATH.csv"), "").expect("written");
    fs::write(folder.path().join("NOTE.csv"), "note_id,note_text\n1,CANARY\n").expect("written");
    fs::write(folder.path().join("README.md"), "hello").expect("written");
    let store = hospital::open(folder.path()).await;
    let summary = store.summary();
    let table = |name: &str| summary.tables.iter().find(|t| t.name == name).expect("a table");
    assert_eq!(table("person").rows, Some(hospital::PEOPLE as usize));
    assert_eq!(table("person").format, "csv");
    for column in ["person_source_value", "day_of_birth", "birth_datetime", "provider_id", "gender_source_value"] {
        assert!(table("person").withheld.iter().any(|c| c == column), "{column}");
        assert!(!table("person").readable.iter().any(|c| c == column), "{column}");
    }
    assert_eq!((table("death").format, table("death").rows), ("empty", Some(0)));
    assert_eq!(table("labs").readable, ["patient", "taken", "code", "score"]);
    assert_eq!(table("labs").withheld, ["secret"]);
    let ignored: Vec<&str> = summary.ignored.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(ignored, ["NOTE.csv", "README.md"]);
    let said = format!("{summary:?} {store:?} {:?}", store.subjects(&hospital::link()).await.expect("subjects"));
    assert!(!said.contains("CANARY") && !said.contains("9000003"), "{said}");
    // The empty table can be joined, and has nobody.
    let sql = "SELECT p.person_id AS subject, count(d.person_id) AS dead
               FROM person p LEFT JOIN death d ON d.person_id = p.person_id GROUP BY p.person_id";
    let cohort = hospital::cohort(&store, sql, &["dead"]).await.expect("a cohort");
    assert!(hospital::sorted(&cohort).iter().all(|row| row == "0"));
}

#[tokio::test]
async fn where_tables_are_is_said_and_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("person.csv"), "person_id\n1\n2\n").expect("written");
    fs::write(folder.path().join("Tumours 2025.tsv"), "PatNr\tUICC\tRemark\n1\t3\tCANARY\n2\t4\tCANARY\n")
        .expect("written");
    let config = |more: &str| {
        let text = format!("folder = {:?}\n{more}", folder.path().display().to_string());
        toml::from_str::<StoreConfig>(&text)
    };
    let open = async |more: &str| Store::open(&config(more).expect("a configuration"), &hospital::catalogue()).await;
    for text in [
        "[tables.person]\nfile = \"people\"",
        "[tables.note]\nfile = \"notes\"",
        "[tables.gone]\nfile = \"gone\"",
        "[tables.registry.columns]\nremark = \"Remark\"",
    ] {
        let outcome = open(text).await;
        assert!(matches!(outcome, Err(StoreError::Mapping { .. })), "{text}: {:?}", outcome.err());
    }
    assert!(config("typo = 1").is_err(), "unknown fields are refused");
    let summary = open("").await.expect("an open store").summary();
    assert!(summary.absent.iter().any(|name| name == "registry"), "{summary:?}");
    let mapped = "[tables.registry]\nfile = \"TUMOURS 2025\"\ncolumns = { patient = \"PATNR\", stage = \"uicc\" }";
    let store = open(mapped).await.expect("an open store");
    let summary = store.summary();
    let table = summary.tables.iter().find(|table| table.name == "registry").expect("mapped");
    assert_eq!(
        (&table.readable[..], &table.withheld[..]),
        (&["patient", "stage"].map(str::to_string)[..], &["remark".to_string()][..])
    );
    assert_eq!(
        table.mended.iter().map(|column| column.what.as_str()).collect::<Vec<_>>(),
        ["called `patnr`", "called `uicc`"]
    );
    let permissions = hospital::everybody(&store, &hospital::link()).await;
    let ask = async |sql: &str| {
        let spec = hospital::study(sql, &["x"]);
        let cohort =
            consilium_engine::cohort::run(&store, &hospital::link(), &permissions, &spec, &hospital::limits()).await;
        cohort.map(|cohort| hospital::sorted(&cohort)).map_err(|error| error.kind())
    };
    assert_eq!(
        ask("SELECT patient AS subject, stage AS x FROM registry").await,
        Ok(vec!["3".to_string(), "4".to_string()])
    );
    for column in ["remark", "uicc", "patnr"] {
        let sql = format!("SELECT patient AS subject, {column} AS x FROM registry");
        assert_eq!(ask(&sql).await, Err("unknown_column"), "what is not in the catalogue does not exist");
    }
}

#[tokio::test]
async fn a_study_reads_only_tables_that_it_brings_along() {
    let (store, _folder) = hospital::open_csv().await;
    let mut spec = hospital::study("SELECT patient AS subject, max(score) AS x FROM labs GROUP BY patient", &["x"]);
    assert!(hospital::cohort(&store, &spec.cohort.sql, &["x"]).await.is_ok());
    spec.tables.clear();
    let permissions = hospital::permissions(&store, &hospital::link()).await;
    let ran = consilium_engine::cohort::run(&store, &hospital::link(), &permissions, &spec, &hospital::limits()).await;
    assert_eq!(ran.expect_err("refused").kind(), "unknown_table");
    assert_eq!(consilium_engine::cohort::check(&spec).await.expect_err("refused").kind(), "unknown_table");
}

#[tokio::test]
async fn who_is_there_is_told_by_person_alone() {
    let (store, folder) = hospital::open_csv().await;
    let everybody = store.subjects(&hospital::link()).await.expect("subjects").len();
    for is_arranged in [false, true] {
        if is_arranged {
            hospital::arrange_in_place(folder.path(), 20).await;
        }
        let text = format!("folder = \"{}\"\n[tables.labs]\nfile = \"gone\"", folder.path().display());
        let config: StoreConfig = toml::from_str(&text).expect("a configuration");
        let store = Store::open_person(&config).await.expect("who is there");
        let tables: Vec<String> = store.summary().tables.into_iter().map(|table| table.name).collect();
        assert_eq!(tables, ["person"]);
        assert_eq!(store.subjects(&hospital::link()).await.expect("subjects").len(), everybody);
    }
}

#[tokio::test]
async fn categories_are_the_listed_values_and_nothing_else() {
    let listed = |values: &str| {
        let text = format!(
            "name = \"marks\"\nsubject = \"patient\"\ndomain = \"observation\"\nundated = true\n[[column]]\nname = \"mark\"\n\
             type = \"category\"\nvalues = {values}\n[[column]]\nname = \"yes\"\ntype = \"boolean\"\n"
        );
        vec![toml::from_str::<consilium_protocol::catalogue::CatalogueTable>(&text).expect("a table")]
    };
    let texts = "[\"a\", \"NA\", \" b\"]";
    let cases: [(&str, &str, Result<&str, &str>); 8] = [
        (texts, "patient,mark,yes\n1,a,1\n2,NA,0\n", Ok("NA false|a true")),
        (texts, "patient,mark,yes\n1, a ,t\n2,,NA\n", Ok(" |a true")),
        (texts, "patient,mark,yes\n1, b,\n2,NULL,\n", Ok(" | b ")),
        (
            texts,
            "patient,mark,yes\n1,CANARY,\n2,a,\n",
            Err("1 value is not one of the values that the catalogue lists (line 2)"),
        ),
        (
            texts,
            "patient,mark,yes\n1,A,\n2,b,\n",
            Err("2 values are not one of the values that the catalogue lists (lines 2, 3)"),
        ),
        ("[1, 2]", "patient,mark,yes\n1,1.0,\n2,2,\n", Ok("1 |2 ")),
        (
            "[1, 2]",
            "patient,mark,yes\n1,3,\n2,2,\n",
            Err("1 value is not one of the values that the catalogue lists (line 2)"),
        ),
        (
            "[1, 2]",
            "patient,mark,yes\n1,CANARY,\n2,2,\n",
            Err("1 value is not one of the values that the catalogue lists (line 2)"),
        ),
    ];
    for (values, text, expected) in cases {
        for parquet in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            fs::write(folder.path().join("person.csv"), "person_id\n1\n2\n").expect("written");
            match parquet {
                true => hospital::texts_as_parquet(&folder.path().join("marks.parquet"), text),
                false => fs::write(folder.path().join("marks.csv"), text).expect("written"),
            }
            let catalogue = listed(values);
            let store = Store::open(&StoreConfig::of(folder.path()), &catalogue).await.expect("an open store");
            let summary = store.summary();
            let unreadable: Vec<String> =
                summary.tables.iter().flat_map(|table| &table.unreadable).map(|column| column.what.clone()).collect();
            let dimensions =
                "[[dimension]]\nname = \"m\"\nvalues = [1]\n[[dimension]]\nname = \"y\"\nvalues = [true]\n";
            let dimensions =
                if values == texts { dimensions.replace("[1]", "[\"a\"]") } else { dimensions.to_string() };
            let sql = "SELECT patient AS subject, max(mark) AS m, bool_or(yes) AS y FROM marks GROUP BY patient";
            let mut spec = hospital::study_with(sql, &[], &dimensions);
            spec.take_tables(&catalogue);
            let permissions = hospital::everybody(&store, &hospital::link()).await;
            let ran =
                consilium_engine::cohort::run(&store, &hospital::link(), &permissions, &spec, &hospital::limits())
                    .await;
            match expected {
                Ok(rows) => {
                    assert!(unreadable.is_empty(), "{text} {unreadable:?}");
                    assert_eq!(hospital::sorted(&ran.expect("a cohort")).join("|"), rows, "{text} parquet: {parquet}");
                }
                Err(why) => {
                    let why = if parquet {
                        why.replace("lines 2, 3", "rows 1, 2").replace("line 2", "row 1")
                    } else {
                        why.to_string()
                    };
                    assert_eq!(unreadable, [why], "{text}");
                    assert_eq!(ran.expect_err("refused").kind(), "unreadable_column", "{text}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_table_of_one_row_a_patient_has_no_second() {
    let text = "name = \"blood\"\nsubject = \"patient\"\ndomain = \"observation\"\nundated = true\nsingle = true\n[[column]]\n\
                name = \"rhesus\"\ntype = \"integer\"\n";
    let catalogue = vec![toml::from_str::<consilium_protocol::catalogue::CatalogueTable>(text).expect("a table")];
    let cases = [
        ("patient,rhesus\n1,1\n2,0\n", Ok(2)),
        ("patient,rhesus\n2,0\n", Ok(1)),
        // Rows of nobody are no patient's.
        ("patient,rhesus\n1,1\n,0\n,0\n", Ok(1)),
        ("patient,rhesus\n1,1\n2,0\n1,1\n", Err("not_single")),
        ("patient,rhesus\n1,1\n1.0,0\n", Err("not_single")),
    ];
    for (text, expected) in cases {
        for parquet in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            fs::write(folder.path().join("person.csv"), "person_id\n1\n2\n").expect("written");
            match parquet {
                true => hospital::texts_as_parquet(&folder.path().join("blood.parquet"), text),
                false => fs::write(folder.path().join("blood.csv"), text).expect("written"),
            }
            let store = Store::open(&StoreConfig::of(folder.path()), &catalogue).await.expect("an open store");
            let summary = store.summary();
            let closed: Vec<_> = summary.unreadable.iter().map(|table| (table.name.as_str(), table.kind)).collect();
            let mut spec = hospital::study("SELECT patient AS subject, rhesus AS x FROM blood", &["x"]);
            spec.take_tables(&catalogue);
            let people = hospital::everybody(&store, &hospital::link()).await;
            let limits = hospital::limits();
            let ran = consilium_engine::cohort::run(&store, &hospital::link(), &people, &spec, &limits).await;
            match expected {
                Ok(patients) => {
                    assert_eq!(closed, [], "{text} parquet: {parquet}");
                    assert_eq!(hospital::sorted(&ran.expect("a cohort")).len(), patients, "{text} parquet: {parquet}");
                }
                Err(why) => {
                    assert_eq!(closed, [("blood", why)], "{text} parquet: {parquet}");
                    assert_eq!(ran.expect_err("refused").kind(), "unreadable_table", "{text} parquet: {parquet}");
                }
            }
        }
    }
}

#[tokio::test]
async fn tabs_bom_capitals_and_compact_dates_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let person = "\u{feff}\"PERSON_ID\";\"Year_of_Birth\"\r\n\"1\";\"1950\"\r\n2;1951.0\r\n";
    fs::write(folder.path().join("Person.CSV"), person).expect("written");
    // Athena's vocabularies: tabs, stray quotes, dates without dashes.
    let concept = "concept_id\tconcept_name\tvalid_start_date\n7\t5\" catheter\t19700101\n";
    fs::write(folder.path().join("CONCEPT.csv"), concept).expect("written");
    let store = open(folder.path()).await.expect("an open store");
    let everybody = hospital::everybody(&store, &hospital::link()).await;
    let sql = "SELECT p.person_id AS subject, p.year_of_birth AS y, c.n FROM person p CROSS JOIN
               (SELECT count(*) AS n FROM concept WHERE valid_start_date = DATE '1970-01-01'
                AND concept_name LIKE '5\" %') c";
    let spec = hospital::study(sql, &["y", "n"]);
    let cohort = consilium_engine::cohort::run(&store, &hospital::link(), &everybody, &spec, &hospital::limits()).await;
    assert_eq!(hospital::sorted(&cohort.expect("a cohort")), ["1950 1", "1951 1"]);
}

#[tokio::test]
async fn rows_that_no_study_sees_are_counted_in_parquet_and_several_rows_of_one_person_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| hospital::texts_as_parquet(&folder.path().join(name), text);
    write("person.parquet", "person_id\n1\n2\n");
    write("death.parquet", "person_id,death_date\n1,2020-01-01\n7,2020-01-01\n,2020-01-01\n7,2020-01-02\n");
    write("specimen.parquet", "specimen_id,person_id\n4,1\n4,1\n5,2\n5,2\n6,2\n");
    let mut seen = Vec::new();
    let store = open(folder.path()).await.expect("an open store");
    let summary = store.examined(&mut |table| seen.push(table.to_string())).await;
    let of = |name: &str| summary.tables.iter().find(|table| table.name == name).expect("a table");
    let unseen = of("death").unseen.expect("looked at");
    assert_eq!((unseen.nobodys, unseen.strangers, of("specimen").repeated), (1, 2, Some(2)));
    assert_eq!(seen, ["death", "person", "specimen"]);
    write("person.parquet", "person_id\n9\n1\n2\n1\n");
    let places = "rows 2, 4".to_string();
    let twice = StoreError::DuplicatePerson { file: "person.parquet".to_string(), people: 1, places };
    assert_eq!(open(folder.path()).await.err(), Some(twice));
    let rest = Store::others(&StoreConfig::of(folder.path()), &[]).await.expect("other tables");
    assert_eq!((rest.tables.len(), rest.unreadable[0].kind), (2, "duplicate_person"));
}
