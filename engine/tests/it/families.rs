//! Families of queries that grow: the `n`th of a family does the same thing `n` times.

use std::fmt::Write as _;

/// A family: its name, and its `n`th query. Each yields `subject` and `x` as long as it is accepted.
pub(crate) type Family = (&'static str, fn(usize) -> String);

/// `WITH c0 AS (first), c1 AS (step over c0), … last over cn`.
fn chain(n: usize, first: &str, step: &str, last: &str) -> String {
    let mut sql = format!("WITH c0 AS ({first})");
    for i in 1..=n {
        write!(sql, ",c{i} AS ({})", step.replace("$p", &format!("c{}", i - 1)).replace("$i", &i.to_string()))
            .expect("writing to a string");
    }
    sql + " " + &last.replace("$p", &format!("c{n}"))
}

/// The same nested in parentheses.
fn nested(n: usize, first: &str, step: &str) -> String {
    (1..=n).fold(first.to_string(), |sql, i| step.replace("$p", &format!("({sql}) t{i}")).replace("$i", &i.to_string()))
}

/// `item` for each of 0 to n - 1, with `$i` for the number.
fn each(n: usize, between: &str, item: &str) -> String {
    (0..n).map(|i| item.replace("$i", &i.to_string())).collect::<Vec<_>>().join(between)
}

const PERSON: &str = "SELECT person_id AS subject, year_of_birth AS x FROM person";
const LAST: &str = "SELECT subject, x FROM $p";

fn by_person(x: &str) -> String {
    format!("SELECT person_id AS subject, {x} AS x FROM person")
}

fn where_person(condition: &str) -> String {
    format!("{PERSON} WHERE {condition}")
}

fn grouped(x: &str) -> String {
    format!("SELECT person_id AS subject, {x} AS x FROM measurement GROUP BY person_id")
}

pub(crate) const FAMILIES: &[Family] = &[
    // Names that are used twice.
    ("union of constants", |n| {
        chain(
            n,
            "SELECT 8507 AS i",
            "SELECT * FROM $p UNION ALL SELECT * FROM $p",
            "SELECT p.person_id AS subject, 1 AS x FROM person p JOIN (SELECT DISTINCT i FROM $p) v ON v.i = p.gender_concept_id",
        )
    }),
    ("union of VALUES", |n| {
        chain(
            n,
            "VALUES (8507)",
            "SELECT * FROM $p UNION SELECT * FROM $p",
            "SELECT p.person_id AS subject, 1 AS x FROM person p WHERE p.gender_concept_id IN (SELECT * FROM $p)",
        )
    }),
    ("join of VALUES by names", |n| {
        chain(
            n,
            "SELECT * FROM (VALUES (1), (2)) v(i)",
            "SELECT a.i FROM $p a JOIN $p b ON a.i = b.i",
            "SELECT p.person_id AS subject, 1 AS x FROM person p JOIN (SELECT DISTINCT i FROM $p) v ON v.i = p.gender_concept_id",
        )
    }),
    ("union of persons", |n| chain(n, PERSON, "SELECT * FROM $p UNION SELECT * FROM $p", LAST)),
    ("union all of persons", |n| {
        chain(
            n,
            PERSON,
            "SELECT * FROM $p UNION ALL SELECT * FROM $p",
            "SELECT subject, max(x) AS x FROM $p GROUP BY subject",
        )
    }),
    ("join of persons", |n| {
        chain(n, PERSON, "SELECT a.subject, b.x FROM $p a JOIN $p b ON a.subject = b.subject", LAST)
    }),
    ("exists by names", |n| {
        chain(n, PERSON, "SELECT * FROM $p WHERE EXISTS (SELECT 1 FROM $p q WHERE q.subject = $p.subject)", LAST)
    }),
    ("except by names", |n| chain(n, PERSON, "SELECT * FROM $p EXCEPT SELECT * FROM $p WHERE x > $i", LAST)),
    ("chain of IN of the one before", |n| {
        chain(
            n,
            PERSON,
            "SELECT person_id AS subject, $i AS x FROM person WHERE person_id IN (SELECT subject FROM $p)",
            LAST,
        )
    }),
    ("chain of EXISTS of the one before", |n| {
        let step = "SELECT person_id AS subject, $i AS x FROM person a WHERE EXISTS (SELECT 1 FROM $p WHERE $p.subject = a.person_id)";
        chain(n, PERSON, step, LAST)
    }),
    ("chain of NOT IN of the one before", |n| {
        let step = "SELECT person_id AS subject, $i AS x FROM person WHERE person_id NOT IN (SELECT subject FROM $p)";
        chain(n, PERSON, step, LAST)
    }),
    ("chain of values of the one before", |n| {
        let step =
            "SELECT person_id AS subject, (SELECT max(x) FROM $p WHERE $p.subject = a.person_id) AS x FROM person a";
        chain(n, PERSON, step, LAST)
    }),
    ("chain of full joins of the one before", |n| {
        let step =
            "SELECT coalesce(a.subject,b.person_id) AS subject FROM $p a FULL JOIN person b ON a.subject=b.person_id";
        chain(n, "SELECT person_id AS subject FROM person", step, "SELECT subject, 1 AS x FROM $p GROUP BY subject")
    }),
    ("chain of counts before a day of the one before", |n| {
        let step = "SELECT o.person_id, o.d, (SELECT count(*) FROM measurement m WHERE m.person_id=o.person_id AND m.measurement_date<o.d) AS x FROM $p o";
        chain(
            n,
            "SELECT person_id, measurement_date AS d, 0 AS x FROM measurement",
            step,
            "SELECT person_id AS subject, max(x) AS x FROM $p GROUP BY person_id",
        )
    }),
    ("chain of records among records of the one before", |n| {
        let step = "SELECT person_id, visit_occurrence_id FROM measurement WHERE visit_occurrence_id IN (SELECT visit_occurrence_id FROM $p)";
        chain(
            n,
            "SELECT person_id, visit_occurrence_id FROM visit_occurrence",
            step,
            "SELECT person_id AS subject, 1 AS x FROM $p GROUP BY person_id",
        )
    }),
    // Columns that are used twice.
    ("x + x in WITH", |n| {
        chain(n, PERSON, "SELECT subject, x+x AS x FROM $p", "SELECT subject, x FROM $p WHERE x > 0")
    }),
    ("x + x in subqueries", |n| {
        format!("SELECT subject, x FROM ({}) t WHERE x > 0", nested(n, PERSON, "SELECT subject, x+x AS x FROM $p"))
    }),
    ("x + x with GROUP BY", |n| {
        chain(
            n,
            PERSON,
            "SELECT subject, x+x AS x FROM $p GROUP BY subject, x+x",
            "SELECT subject, x FROM $p WHERE x > 0",
        )
    }),
    ("CASE twice", |n| {
        chain(
            n,
            PERSON,
            "SELECT subject, CASE WHEN x > $i THEN x ELSE -x END AS x FROM $p",
            "SELECT subject, x FROM $p WHERE x > 0",
        )
    }),
    ("coalesce twice", |n| {
        chain(n, PERSON, "SELECT subject, coalesce(x, x, $i) AS x FROM $p", "SELECT subject, x FROM $p WHERE x > 0")
    }),
    ("IN twice", |n| {
        chain(
            n,
            PERSON,
            "SELECT subject, CASE WHEN x IN (x, $i) THEN 1 ELSE 0 END AS x FROM $p",
            "SELECT subject, x FROM $p WHERE x > 0",
        )
    }),
    ("BETWEEN twice", |n| {
        chain(
            n,
            PERSON,
            "SELECT subject, CASE WHEN x BETWEEN x AND x + $i THEN x END AS x FROM $p",
            "SELECT subject, x FROM $p WHERE x > 0",
        )
    }),
    ("a subquery twice", |n| {
        chain(
            n,
            "SELECT person_id AS subject, (SELECT max(value_as_number) FROM measurement m WHERE m.person_id = p.person_id) AS x FROM person p",
            "SELECT subject, x+x AS x FROM $p",
            "SELECT subject, x FROM $p WHERE x > 0",
        )
    }),
    // Long chains.
    ("chain of columns", |n| chain(n, PERSON, "SELECT subject, x+1 AS x FROM $p", LAST)),
    ("chain of columns, filtered", |n| {
        chain(n, PERSON, "SELECT subject, x+1 AS x FROM $p", "SELECT subject, x FROM $p WHERE x > 0")
    }),
    ("chain of two columns", |n| {
        chain(
            n,
            "SELECT person_id AS subject, year_of_birth AS x, month_of_birth AS y FROM person",
            "SELECT subject, y AS x, x+1 AS y FROM $p",
            "SELECT subject, x FROM $p WHERE x > 0 AND y > 0",
        )
    }),
    ("chain of *", |n| chain(n, PERSON, "SELECT * FROM $p", LAST)),
    ("nested *", |n| nested(n, PERSON, "SELECT * FROM $p")),
    ("chain of wide *", |n| {
        chain(
            n,
            "SELECT p.person_id AS subject, v.*, c.*, d.*, m.*, o.* FROM person p JOIN visit_occurrence v ON v.person_id = p.person_id
             JOIN condition_occurrence c ON c.person_id = p.person_id JOIN drug_exposure d ON d.person_id = p.person_id
             JOIN measurement m ON m.person_id = p.person_id JOIN observation o ON o.person_id = p.person_id",
            "SELECT * FROM $p",
            "SELECT DISTINCT subject, 1 AS x FROM $p",
        )
    }),
    ("* of joins", |n| {
        let joins = each(n, " ", "JOIN measurement a$i ON a$i.person_id=p.person_id");
        format!("SELECT DISTINCT t.subject, 1 AS x FROM (SELECT p.person_id AS subject, a0.* FROM person p {joins}) t")
    }),
    ("** of joins", |n| {
        let joins = each(
            n,
            " ",
            "JOIN (SELECT person_id AS p$i, year_of_birth AS y$i, month_of_birth AS m$i, race_concept_id AS r$i FROM person) a$i ON p$i=p.person_id",
        );
        format!("SELECT DISTINCT t.person_id AS subject, 1 AS x FROM (SELECT * FROM person p {joins}) t")
    }),
    ("chain of filters", |n| chain(n, PERSON, "SELECT * FROM $p WHERE x <> $i", LAST)),
    ("chain of GROUP BY", |n| chain(n, PERSON, "SELECT subject, max(x) AS x FROM $p GROUP BY subject", LAST)),
    ("chain of DISTINCT", |n| chain(n, PERSON, "SELECT DISTINCT subject, x+1 AS x FROM $p", LAST)),
    ("chain of windows", |n| {
        chain(n, PERSON, "SELECT subject, row_number() OVER (PARTITION BY subject ORDER BY x) AS x FROM $p", LAST)
    }),
    ("chain of joins", |n| {
        chain(
            n,
            PERSON,
            "SELECT a.subject, a.x + b.month_of_birth AS x FROM $p a JOIN person b ON b.person_id = a.subject",
            LAST,
        )
    }),
    ("chain of left joins", |n| {
        chain(
            n,
            PERSON,
            "SELECT a.subject, coalesce(b.month_of_birth, a.x) AS x FROM $p a LEFT JOIN person b ON b.person_id = a.subject",
            LAST,
        )
    }),
    ("chain of unions", |n| {
        chain(
            n,
            PERSON,
            "SELECT * FROM $p UNION SELECT person_id, $i FROM person",
            "SELECT subject, max(x) AS x FROM $p GROUP BY subject",
        )
    }),
    ("chain of exists", |n| {
        chain(
            n,
            PERSON,
            "SELECT * FROM $p WHERE EXISTS (SELECT 1 FROM measurement m WHERE m.person_id = $p.subject AND m.unit_concept_id = $i)",
            LAST,
        )
    }),
    ("chain of scalar subqueries", |n| {
        chain(
            n,
            PERSON,
            "SELECT subject, x + (SELECT count(*) FROM measurement m WHERE m.person_id = $p.subject AND m.unit_concept_id = $i) AS x FROM $p",
            LAST,
        )
    }),
    ("chain of casts", |n| {
        chain(
            n,
            PERSON,
            "SELECT subject, CAST(CAST(x AS DOUBLE) AS BIGINT) AS x FROM $p",
            "SELECT subject, x FROM $p WHERE x > 0",
        )
    }),
    // Long expressions.
    ("sum", |n| by_person(&("year_of_birth".to_string() + &each(n, "", "+$i")))),
    ("sum with a condition", |n| where_person(&format!("year_of_birth{} > 5", each(n, "", "+month_of_birth")))),
    ("product of constants", |n| by_person(&("1.5".to_string() + &each(n, "", "*1.5")))),
    ("AND", |n| where_person(&each(n, " AND ", "year_of_birth<>$i"))),
    ("OR", |n| where_person(&each(n, " OR ", "year_of_birth=$i"))),
    ("OR of two columns", |n| where_person(&each(n, " OR ", "year_of_birth=$i AND month_of_birth<$i"))),
    ("AND of ORs", |n| where_person(&each(n, " AND ", "(year_of_birth=$i OR month_of_birth>$i)"))),
    ("OR of ANDs with one in common", |n| {
        where_person(&each(n, " OR ", "(race_concept_id=7 AND year_of_birth=$i AND month_of_birth>$i)"))
    }),
    ("alternation", |n| {
        let mut condition = "year_of_birth>0".to_string();
        for i in 0..n {
            condition = format!("({condition} {} month_of_birth>{i})", if i % 2 == 0 { "OR" } else { "AND" });
        }
        where_person(&condition)
    }),
    ("ranges", |n| where_person(&each(n, " AND ", "year_of_birth>$i AND year_of_birth<9$i"))),
    ("NOT", |n| where_person(&format!("{}year_of_birth > 5", "NOT ".repeat(n)))),
    ("minus", |n| by_person(&format!("{}year_of_birth", "- ".repeat(n)))),
    ("parentheses", |n| by_person(&format!("{}year_of_birth{}", "(".repeat(n), ")".repeat(n)))),
    ("CASE of many", |n| by_person(&format!("CASE {} END", each(n, " ", "WHEN year_of_birth>$i THEN $i")))),
    ("simple CASE of many", |n| by_person(&format!("CASE year_of_birth {} END", each(n, " ", "WHEN $i THEN $i")))),
    ("condition on a CASE of many", |n| {
        where_person(&format!("CASE {} END = 7", each(n, " ", "WHEN year_of_birth>$i THEN $i")))
    }),
    ("CASE in CASE", |n| by_person(&format!("{}1{}", "CASE WHEN year_of_birth>0 THEN ".repeat(n), " END".repeat(n)))),
    ("IN list", |n| where_person(&format!("year_of_birth IN ({})", each(n, ",", "$i")))),
    ("IN lists", |n| where_person(&each(n, " AND ", "year_of_birth IN (1,2,3,4,5,6,7,8,9)"))),
    ("NOT IN lists by OR", |n| where_person(&each(n, " OR ", "year_of_birth NOT IN ($i,9,8)"))),
    ("IN list of expressions", |n| where_person(&format!("year_of_birth IN ({})", each(n, ",", "month_of_birth+$i")))),
    ("coalesce of many", |n| by_person(&format!("coalesce({})", each(n, ",", "year_of_birth+$i")))),
    ("greatest of many", |n| by_person(&format!("greatest({})", each(n, ",", "year_of_birth+$i")))),
    ("functions in each other", |n| by_person(&format!("{}year_of_birth{}", "abs(".repeat(n), ")".repeat(n)))),
    ("LIKE", |n| {
        format!(
            "SELECT DISTINCT c.person_id AS subject, 1 AS x FROM condition_occurrence c JOIN concept k ON k.concept_id = c.condition_concept_id WHERE {}",
            each(n, " OR ", "k.concept_name LIKE '%$i%_%'")
        )
    }),
    ("days", |n| {
        format!(
            "SELECT DISTINCT person_id AS subject, 1 AS x FROM measurement WHERE {}",
            each(n, " OR ", "measurement_date BETWEEN DATE '2020-01-01' AND DATE '2020-01-01' + INTERVAL '$i' DAY")
        )
    }),
    ("long names", |n| {
        let name = "a".repeat(n);
        format!("WITH {name} AS ({PERSON}) SELECT {name}.subject, {name}.x FROM {name}")
    }),
    ("a long text", |n| {
        where_person(&format!(
            "year_of_birth > 0 AND {}",
            each(n, " AND ", "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa$i' <> 'b'")
        ))
    }),
    // What a parser may read again and again.
    ("POSITION in POSITION", |n| by_person(&format!("{}1{}", "position(".repeat(n), ", 1)".repeat(n)))),
    ("NOT before a mistake", |n| where_person(&format!("{}1{}", "NOT (".repeat(n), " 1)".repeat(n)))),
    ("CAST with a mistake", |n| by_person(&format!("{}1{}", "CAST(".repeat(n), " AS )".repeat(n)))),
    ("OVERLAY as a function", |n| by_person(&format!("{}1{}", "overlay(".repeat(n), ", 1)".repeat(n)))),
    ("a query plus one in IN", |n| where_person(&format!("{}1{}", "1 IN ((SELECT ".repeat(n), ") + 1)".repeat(n)))),
    ("a joined query in parentheses", |n| {
        let from = format!("{}1{}", "(SELECT 1 FROM ((SELECT ".repeat(n), ") a JOIN person ON true))".repeat(n));
        by_person(&from)
    }),
    // Many of a kind.
    ("columns", |n| {
        format!("SELECT person_id AS subject, 1 AS x,{} FROM person", each(n, ",", "year_of_birth+$i AS c$i"))
    }),
    ("columns through layers", |n| {
        let columns = each(40, ",", "c$i");
        chain(
            n,
            &format!(
                "SELECT person_id AS subject, year_of_birth AS x,{} FROM person",
                each(40, ",", "year_of_birth+$i AS c$i")
            ),
            &format!("SELECT subject,x+1 AS x,{columns} FROM $p"),
            LAST,
        )
    }),
    ("columns through layers, added", |n| {
        let columns = each(40, ",", "c$i+1 AS c$i");
        chain(
            n,
            &format!(
                "SELECT person_id AS subject, year_of_birth AS x,{} FROM person",
                each(40, ",", "year_of_birth+$i AS c$i")
            ),
            &format!("SELECT subject,x+1 AS x,{columns} FROM $p"),
            &format!("SELECT subject, x FROM $p WHERE {}", each(40, " AND ", "c$i>0")),
        )
    }),
    ("* with one more through layers", |n| chain(n, PERSON, "SELECT *, x+$i AS x$i FROM $p", LAST)),
    ("aggregates", |n| {
        let more = each(n, ",", "max(value_as_number+$i) AS c$i");
        format!("SELECT person_id AS subject, 1 AS x,{more} FROM measurement GROUP BY person_id")
    }),
    ("aggregates in one sum", |n| grouped(&each(n, "+", "max(value_as_number+$i)"))),
    ("DISTINCT aggregates", |n| grouped(&each(n, "+", "count(DISTINCT value_as_number+$i)"))),
    ("filtered aggregates", |n| grouped(&each(n, "+", "max(value_as_number) FILTER (WHERE unit_concept_id=$i)"))),
    ("HAVING", |n| format!("{} HAVING {}", grouped("1"), each(n, " AND ", "max(value_as_number)<>$i"))),
    ("GROUP BY of many", |n| {
        format!(
            "SELECT person_id AS subject, 1 AS x FROM person GROUP BY person_id,{}",
            each(n, ",", "year_of_birth+$i")
        )
    }),
    ("windows, each its own order", |n| {
        by_person(&each(n, "+", "row_number() OVER (PARTITION BY person_id ORDER BY year_of_birth+$i)"))
    }),
    ("windows, each its own partition", |n| {
        by_person(&each(n, "+", "count(*) OVER (PARTITION BY person_id, year_of_birth+$i)"))
    }),
    ("windows of one kind", |n| by_person(&each(n, "+", "max(year_of_birth+$i) OVER (PARTITION BY person_id)"))),
    ("windows of one kind as columns", |n| {
        let windows = each(n, ",", "max(year_of_birth+$i) OVER (PARTITION BY person_id) AS w$i");
        format!("SELECT person_id AS subject, 1 AS x,{windows} FROM person")
    }),
    ("windows of one kind in sums of two", |n| {
        let windows = each(n + 1, ",", "max(year_of_birth+$i) OVER (PARTITION BY person_id) AS w$i");
        let sums = (0..n).map(|i| format!("w{i}+w{} AS s{i}", i + 1)).collect::<Vec<_>>().join(",");
        format!("SELECT person_id AS subject, w0 AS x,{sums} FROM (SELECT person_id,{windows} FROM person) t")
    }),
    ("windows of one kind in sums of three", |n| {
        let windows = each(n + 2, ",", "max(year_of_birth+$i) OVER (PARTITION BY person_id) AS w$i");
        let sums = (0..n).map(|i| format!("w{i}+w{}+w{} AS s{i}", i + 1, i + 2)).collect::<Vec<_>>().join(",");
        format!("SELECT person_id AS subject, w0 AS x,{sums} FROM (SELECT person_id,{windows} FROM person) t")
    }),
    ("windows of one kind in sums of four", |n| {
        let windows = each(n + 3, ",", "max(year_of_birth+$i) OVER (PARTITION BY person_id) AS w$i");
        let sums =
            (0..n).map(|i| format!("w{i}+w{}+w{}+w{} AS s{i}", i + 1, i + 2, i + 3)).collect::<Vec<_>>().join(",");
        format!("SELECT person_id AS subject, w0 AS x,{sums} FROM (SELECT person_id,{windows} FROM person) t")
    }),
    ("counting windows in one sum", |n| {
        by_person(&each(
            n,
            "+",
            "count(nullif(year_of_birth,$i)) OVER (PARTITION BY person_id ORDER BY month_of_birth)",
        ))
    }),
    ("what a window sorts by, in one sum", |n| {
        let columns = each(n, ",", "year_of_birth+$i AS c$i");
        let (order, sum) = (each(n, ",", "c$i"), each(n, "+", "c$i"));
        format!(
            "SELECT person_id AS subject, {sum} AS x FROM (SELECT *, row_number() OVER (PARTITION BY person_id ORDER BY {order}) AS n
             FROM (SELECT person_id,{columns} FROM person) t) u WHERE n=1"
        )
    }),
    ("what an aggregate sorts by, in one sum", |n| {
        let columns = each(n, ",", "value_as_number+$i AS c$i");
        let (order, sum) = (each(n, ",", "c$i"), each(n, "+", "c$i"));
        format!(
            "SELECT person_id AS subject, max(y) AS x FROM (SELECT person_id, {sum} AS y, first_value(c0 ORDER BY {order}) AS f
             FROM (SELECT person_id,{columns} FROM measurement) t GROUP BY person_id,{order}) u WHERE f > 0 GROUP BY person_id"
        )
    }),
    ("ORDER BY, then a sum", |n| {
        let columns = each(n, ",", "year_of_birth+$i AS c$i");
        let (order, sum) = (each(n, ",", "c$i"), each(n, "+", "c$i"));
        format!(
            "SELECT person_id AS subject, {sum} AS x FROM (SELECT person_id,{columns} FROM person ORDER BY {order}) t"
        )
    }),
    ("first of many kinds", |n| {
        let joins = each(
            n,
            " ",
            "LEFT JOIN (SELECT person_id, value_as_number AS v, row_number() OVER (PARTITION BY person_id ORDER BY measurement_date) AS n FROM measurement WHERE measurement_concept_id=$i) m$i ON m$i.person_id=p.person_id AND m$i.n=1",
        );
        format!("SELECT p.person_id AS subject, {} AS x FROM person p {joins}", each(n, "+", "m$i.v"))
    }),
    ("first of many kinds, all there", |n| {
        let joins = each(
            n,
            " ",
            "JOIN (SELECT person_id, value_as_number AS v, row_number() OVER (PARTITION BY person_id ORDER BY measurement_date) AS n FROM measurement WHERE measurement_concept_id=$i) m$i ON m$i.person_id=p.person_id AND m$i.n=1",
        );
        format!("SELECT p.person_id AS subject, {} AS x FROM person p {joins}", each(n, "+", "m$i.v"))
    }),
    ("a CASE of 100 compared", |n| {
        let case = format!("CASE {} END", each(100, " ", "WHEN year_of_birth>$i THEN $i"));
        format!(
            "SELECT subject, x FROM (SELECT person_id AS subject, {case} AS x FROM person) t WHERE {}",
            each(n, " OR ", "x=$i")
        )
    }),
    ("ORDER BY of many", |n| format!("{PERSON} ORDER BY {}", each(n, ",", "year_of_birth+$i"))),
    ("left joins of flags", |n| {
        format!(
            "SELECT p.person_id AS subject, p.year_of_birth AS x FROM person p {}",
            each(
                n,
                " ",
                "LEFT JOIN (SELECT DISTINCT person_id, true AS f FROM condition_occurrence WHERE condition_concept_id=$i) t$i ON t$i.person_id=p.person_id"
            )
        )
    }),
    ("joins", |n| {
        format!(
            "SELECT p.person_id AS subject, p.year_of_birth AS x FROM person p {}",
            each(n, " ", "JOIN person t$i ON t$i.person_id=p.person_id")
        )
    }),
    ("joins where NULL equals NULL", |n| {
        format!(
            "SELECT p.person_id AS subject, p.year_of_birth AS x FROM person p {}",
            each(n, " ", "JOIN person t$i ON t$i.person_id IS NOT DISTINCT FROM p.person_id")
        )
    }),
    ("full joins", |n| {
        let persons = |n: usize| format!("coalesce({})", each(n, ",", "t$i.person_id"));
        let mut sql = format!("SELECT {} AS subject, 1 AS x FROM person t0", persons(n + 1));
        for i in 1..=n {
            let before = if i == 1 { "t0.person_id".to_string() } else { persons(i) };
            write!(sql, " FULL JOIN person t{i} ON {before}=t{i}.person_id").expect("writing to a string");
        }
        sql
    }),
    ("joins in a row", |n| {
        let mut sql = "SELECT t0.person_id AS subject, t0.year_of_birth AS x FROM person t0".to_string();
        for i in 1..=n {
            write!(sql, " JOIN person t{i} ON t{i}.person_id=t{}.person_id", i - 1).expect("writing to a string");
        }
        sql
    }),
    ("joins by several columns", |n| {
        format!(
            "SELECT p.person_id AS subject, p.year_of_birth AS x FROM person p {} WHERE p.year_of_birth > 1950 AND p.month_of_birth = 3",
            each(
                n,
                " ",
                "JOIN person t$i ON t$i.person_id=p.person_id AND t$i.year_of_birth=p.year_of_birth AND t$i.month_of_birth=p.month_of_birth"
            )
        )
    }),
    ("joins by commas", |n| {
        format!(
            "SELECT p.person_id AS subject, p.year_of_birth AS x FROM person p, {} WHERE {}",
            each(n, ",", "person t$i"),
            each(n, " AND ", "t$i.person_id=p.person_id")
        )
    }),
    ("joins with ORs", |n| {
        format!(
            "SELECT p.person_id AS subject, p.year_of_birth AS x FROM person p {}",
            each(
                n,
                " ",
                "JOIN person t$i ON t$i.person_id=p.person_id AND (t$i.year_of_birth>$i OR p.year_of_birth<$i)"
            )
        )
    }),
    ("right joins", |n| {
        format!(
            "SELECT p.person_id AS subject, p.year_of_birth AS x FROM person p {}",
            each(
                n,
                " ",
                "JOIN (SELECT DISTINCT b.person_id FROM death a RIGHT JOIN person b ON a.person_id=b.person_id) t$i ON t$i.person_id=p.person_id"
            )
        )
    }),
    ("joins of vocabularies", |n| {
        format!(
            "SELECT DISTINCT c.person_id AS subject, 1 AS x FROM condition_occurrence c {}",
            each(
                n,
                " ",
                "JOIN concept_ancestor t$i ON t$i.descendant_concept_id=c.condition_concept_id AND t$i.ancestor_concept_id=$i"
            )
        )
    }),
    ("VALUES lists joined", |n| {
        format!(
            "SELECT DISTINCT p.person_id AS subject, 1 AS x FROM person p {}",
            each(n, " ", "JOIN (VALUES (1),(2)) v$i(k) ON v$i.k=p.month_of_birth")
        )
    }),
    ("VALUES lists joined with each other", |n| {
        format!(
            "SELECT DISTINCT p.person_id AS subject, 1 AS x FROM person p JOIN (VALUES (1),(2)) v(k) ON v.k=p.month_of_birth {}",
            each(n, " ", "JOIN (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)) v$i(k) ON v$i.k=v.k")
        )
    }),
    ("exists", |n| {
        format!(
            "{PERSON} p WHERE {}",
            each(
                n,
                " AND ",
                "EXISTS (SELECT 1 FROM measurement m WHERE m.person_id=p.person_id AND m.unit_concept_id=$i)"
            )
        )
    }),
    ("exists by OR", |n| {
        format!(
            "{PERSON} p WHERE {}",
            each(
                n,
                " OR ",
                "EXISTS (SELECT 1 FROM measurement m WHERE m.person_id=p.person_id AND m.unit_concept_id=$i)"
            )
        )
    }),
    ("NOT IN subqueries", |n| {
        where_person(&each(n, " AND ", "person_id NOT IN (SELECT person_id FROM measurement WHERE unit_concept_id=$i)"))
    }),
    ("EXISTS in aggregates", |n| {
        let exists = "max(CASE WHEN EXISTS (SELECT 1 FROM measurement m WHERE m.person_id=v.person_id AND m.unit_concept_id=$i) THEN 1 ELSE 0 END)";
        format!("SELECT person_id AS subject, {} AS x FROM visit_occurrence v GROUP BY person_id", each(n, "+", exists))
    }),
    ("counts before a day", |n| {
        let count = "max((SELECT count(*) FROM measurement m WHERE m.person_id=v.person_id AND m.measurement_date<v.visit_start_date AND m.unit_concept_id=$i))";
        format!("SELECT person_id AS subject, {} AS x FROM visit_occurrence v GROUP BY person_id", each(n, "+", count))
    }),
    ("records among records", |n| {
        let within = "visit_occurrence_id IN (SELECT visit_occurrence_id FROM measurement WHERE unit_concept_id=$i)";
        format!("SELECT DISTINCT person_id AS subject, 1 AS x FROM visit_occurrence WHERE {}", each(n, " AND ", within))
    }),
    ("records among records by OR", |n| {
        let within = "visit_occurrence_id IN (SELECT visit_occurrence_id FROM measurement WHERE unit_concept_id=$i)";
        format!("SELECT DISTINCT person_id AS subject, 1 AS x FROM visit_occurrence WHERE {}", each(n, " OR ", within))
    }),
    ("sets of concepts", |n| where_person(&each(n, " AND ", "gender_concept_id+$i IN (SELECT concept_id FROM a_set)"))),
    ("exists in exists", |n| {
        let mut condition = "true".to_string();
        for i in (0..n).rev() {
            let around = if i == 0 { "p".to_string() } else { format!("m{}", i - 1) };
            condition = format!(
                "EXISTS (SELECT 1 FROM measurement m{i} WHERE m{i}.person_id={around}.person_id AND {condition})"
            );
        }
        format!("{PERSON} p WHERE {condition}")
    }),
    ("IN in IN", |n| {
        let mut condition = "true".to_string();
        for _ in 0..n {
            condition = format!("person_id IN (SELECT person_id FROM measurement WHERE {condition})");
        }
        where_person(&condition)
    }),
    ("scalar subqueries", |n| {
        format!(
            "SELECT p.person_id AS subject, {} AS x FROM person p",
            each(n, "+", "(SELECT count(*) FROM measurement m WHERE m.person_id=p.person_id AND m.unit_concept_id=$i)")
        )
    }),
    ("scalar subqueries in each other", |n| {
        let mut value = "1".to_string();
        for i in (0..n).rev() {
            let around = if i == 0 { "p".to_string() } else { format!("m{}", i - 1) };
            value = format!("(SELECT max({value}) FROM measurement m{i} WHERE m{i}.person_id={around}.person_id)");
        }
        format!("SELECT p.person_id AS subject, {value} AS x FROM person p")
    }),
    ("unions", |n| {
        format!(
            "SELECT person_id AS subject, max(x) AS x FROM ({}) u GROUP BY person_id",
            each(n, " UNION ", "SELECT person_id, $i AS x FROM person")
        )
    }),
    ("unions with ALL", |n| {
        format!(
            "SELECT person_id AS subject, sum(x) AS x FROM ({}) u GROUP BY person_id",
            each(n, " UNION ALL ", "SELECT person_id, $i AS x FROM death")
        )
    }),
    ("unions without FROM", |n| {
        format!(
            "SELECT person_id AS subject, 1 AS x FROM person WHERE year_of_birth IN ({})",
            each(n, " UNION ALL ", "SELECT $i")
        )
    }),
    ("unions of wide rows", |n| {
        format!(
            "SELECT person_id AS subject, 1 AS x FROM ({}) u GROUP BY person_id",
            each(n, " UNION ALL ", "SELECT * FROM visit_occurrence")
        )
    }),
    ("intersections", |n| each(n + 1, " INTERSECT ", PERSON)),
    ("differences", |n| each(n + 1, " EXCEPT ", PERSON)),
    ("VALUES", |n| {
        format!(
            "SELECT person_id AS subject, v.x FROM person JOIN (SELECT k, max(x) AS x FROM (VALUES {}) w(k,x) GROUP BY k) v ON v.k=year_of_birth",
            each(n, ",", "($i,$i)")
        )
    }),
    ("names that are not used", |n| {
        format!("WITH {} {PERSON}", each(n, ",", "c$i AS (SELECT person_id FROM measurement WHERE unit_concept_id=$i)"))
    }),
    ("one name in many places", |n| {
        format!(
            "WITH c AS (SELECT person_id, measurement_concept_id AS k FROM measurement WHERE value_as_number > 3) {PERSON} p WHERE {}",
            each(n, " AND ", "EXISTS (SELECT 1 FROM c WHERE c.person_id=p.person_id AND c.k=$i)")
        )
    }),
    ("conditions on joins of equals", |n| {
        let mut sql = "SELECT t0.person_id AS subject, 1 AS x FROM person t0".to_string();
        for i in 1..=n {
            write!(sql, ",person t{i}").expect("writing to a string");
        }
        sql += " WHERE t0.year_of_birth=1950";
        for i in 1..=n {
            write!(sql, " AND t{i}.person_id=t{0}.person_id AND t{i}.year_of_birth=t{0}.year_of_birth", i - 1)
                .expect("writing to a string");
        }
        sql
    }),
    ("a cohort in OHDSI's way", |n| {
        format!(
            "WITH codes AS (SELECT concept_id FROM concept WHERE concept_id IN (201826,443238) UNION
             SELECT c.concept_id FROM concept c JOIN concept_ancestor ca ON c.concept_id=ca.descendant_concept_id AND ca.ancestor_concept_id IN (201826)),
             events AS (SELECT person_id, start, row_number() OVER (PARTITION BY person_id ORDER BY start) AS ordinal FROM
             (SELECT co.person_id, co.condition_start_date AS start FROM condition_occurrence co JOIN codes ON codes.concept_id=co.condition_concept_id) e),
             qualified AS (SELECT person_id, start FROM events WHERE ordinal=1)
             SELECT q.person_id AS subject, 1 AS x FROM qualified q {}",
            each(n, " ", "JOIN (SELECT q.person_id FROM qualified q JOIN (SELECT d.person_id, d.drug_exposure_start_date AS start FROM drug_exposure d JOIN codes ON codes.concept_id=d.drug_concept_id) a ON a.person_id=q.person_id AND a.start>=q.start GROUP BY q.person_id HAVING count(*)>=$i) i$i ON i$i.person_id=q.person_id")
        )
    }),
];
