//! Filling the layout from a cohort.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use consilium_protocol::study::StudySpec;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, lit, when};
use datafusion::prelude::{SessionConfig, SessionContext, ident};
use zeroize::Zeroizing;

use super::block::{Block, Content};
use super::plan::{self, steps};
use super::{Compared, CountAxis, CountTable, Layout, LocalCells, Scale, StatisticsError, prove_bounds};

/// Computes one hospital's cells, and the numbers that are compared with the threshold in a guarded study.
///
/// `cohort` has the study's variables and dimensions as columns, one row per subject. `min_site_count` is the smallest
/// own count that leaves the hospital, its policy's or a stricter one; a smaller one, with everything it guards, is
/// replaced by zeros and marked in `withheld`. `subjects_bound` is how many subjects the whole consortium has at most,
/// which all hospitals of the round must agree on.
///
/// # Errors
/// When a sum could overflow ([`prove_bounds`]), when the cohort lacks a declared column or has it in an unfit type, when
/// it has more rows than there are subjects, or when the query engine fails. No error says anything of a row.
pub async fn compute(
    spec: &StudySpec,
    layout: &Layout,
    compared: &Compared,
    cohort: &[RecordBatch],
    min_site_count: u32,
    subjects_bound: u64,
) -> Result<LocalCells, StatisticsError> {
    if *layout != Layout::of(spec)? {
        return Err(StatisticsError::Layout);
    }
    prove_bounds(spec, layout, subjects_bound)?;
    let rows = cohort.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
    if rows > subjects_bound {
        return Err(StatisticsError::TooManyRows);
    }
    let mut cells = Zeroizing::new(vec![0i64; layout.cells()]);
    let mut ends = Zeroizing::new(vec![[0i64; 2]; layout.bundles().len()]);
    let mut numbers = Zeroizing::new(vec![0i64; compared.numbers.len()]);
    if let Some(first) = cohort.first() {
        let schema = first.schema();
        for block in layout.blocks() {
            let name = &spec.statistics[block.statistic].name;
            let failed = |_: DataFusionError| StatisticsError::Engine { statistic: name.clone() };
            let frame = session().and_then(|session| session.read_batches(cohort.to_vec())).map_err(failed)?;
            let grouped = group(spec, &schema, frame, block)?.map_err(failed)?;
            for batch in grouped.collect().await.map_err(failed)? {
                fill(layout, block, &batch, &mut cells, &mut ends)
                    .ok_or_else(|| failed(DataFusionError::Internal(String::new())))?;
            }
        }
        check_rows(layout, &cells, rows)?;
        for (position, table) in compared.tables.iter().enumerate() {
            let failed = |_: DataFusionError| StatisticsError::Guarding;
            let frame = session().and_then(|session| session.read_batches(cohort.to_vec())).map_err(failed)?;
            let counts = count_table(spec, &schema, frame, table).await?;
            if counts.iter().sum::<i64>().cast_unsigned() != rows {
                return Err(StatisticsError::RowCount);
            }
            for (number, of) in numbers.iter_mut().zip(&compared.numbers).filter(|(_, of)| of.table == position) {
                *number = of.groups.iter().filter_map(|group| counts.get(*group)).sum();
            }
        }
    }
    hold_back(layout, min_site_count, &mut cells, &ends);
    add_coarser(layout, &mut cells);
    Ok(LocalCells::new(cells, numbers))
}

/// The counts of a table's groups.
async fn count_table(
    spec: &StudySpec,
    schema: &arrow::datatypes::Schema,
    frame: DataFrame,
    table: &CountTable,
) -> Result<Zeroizing<Vec<i64>>, StatisticsError> {
    let failed = |_: DataFusionError| StatisticsError::Guarding;
    if table.axes.is_empty() {
        let rows = frame.count().await.map_err(failed)?;
        return Ok(Zeroizing::new(vec![i64::try_from(rows).map_err(|_| StatisticsError::Guarding)?]));
    }
    let mut position = lit(0i64);
    for axis in &table.axes {
        let index = match axis {
            CountAxis::Column(axis) => plan::position(schema, std::slice::from_ref(axis))?,
            CountAxis::Steps { variable, starts } => {
                let variable = spec.variable(variable).ok_or(StatisticsError::Study)?;
                plan::range_index(schema, variable, starts)?
            }
        };
        position = position * lit(axis.classes() as i64) + index;
    }
    let frame = frame.select(vec![position.alias("position")]).map_err(failed)?;
    let counted = frame.aggregate(vec![ident("position")], vec![count(lit(1i64)).alias("n")]).map_err(failed)?;
    let mut counts = Zeroizing::new(vec![0i64; table.groups()]);
    for batch in counted.collect().await.map_err(failed)? {
        let column = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
        let (Some(positions), Some(n)) = (column("position"), column("n")) else {
            return Err(StatisticsError::Guarding);
        };
        for row in 0..batch.num_rows() {
            let place = usize::try_from(positions.value(row)).ok().and_then(|position| counts.get_mut(position));
            *place.ok_or(StatisticsError::Guarding)? = n.value(row);
        }
    }
    Ok(counts)
}

/// Fills the coarser tables: each of their cells is a sum of cells.
fn add_coarser(layout: &Layout, cells: &mut [i64]) {
    for block in layout.coarser() {
        for (bundle, parts) in block.bundles.clone().zip(layout.parts_of_coarser(block)) {
            let bundles = layout.bundles();
            for part in parts {
                for (to, from) in bundles[bundle].cells().zip(bundles[part].cells()) {
                    cells[to] += cells[from];
                }
            }
        }
    }
}

/// A session that never writes rows to disk.
fn session() -> Result<SessionContext, DataFusionError> {
    session_with(SessionConfig::new())
}

/// Likewise, which keeps them in their order where a plan does.
pub(super) fn ordered_session() -> Result<SessionContext, DataFusionError> {
    session_with(SessionConfig::new().with_target_partitions(1))
}

fn session_with(config: SessionConfig) -> Result<SessionContext, DataFusionError> {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let runtime = RuntimeEnvBuilder::new().with_disk_manager_builder(disk).build()?;
    Ok(SessionContext::new_with_config_rt(config, Arc::new(runtime)))
}

/// One row per non-empty bundle: its position in the block, n, the ends, and Σx and Σx² where the block has them.
fn group(
    spec: &StudySpec,
    schema: &arrow::datatypes::Schema,
    frame: DataFrame,
    block: &Block,
) -> Result<Result<DataFrame, DataFusionError>, StatisticsError> {
    let (x, range) = match spec.statistics[block.statistic].kind.variable() {
        Some(name) => {
            let variable = spec.variable(name).ok_or(StatisticsError::Study)?;
            (steps(schema, variable)?, Scale::of(variable).ok_or(StatisticsError::Study)?.range)
        }
        None => (lit(0i64), 0),
    };
    let position = plan::position(schema, &block.axes)?.alias("position");
    Ok(frame.select(vec![position, x.alias("x")]).and_then(|frame| {
        let x = || ident("x");
        // NULL where the condition does not hold, which is not counted.
        let how_many = |condition: Expr| when(condition, lit(1i64)).end().map(count);
        let sums = vec![
            count(lit(1i64)).alias("n"),
            sum(x()).alias("sum"),
            sum(x() * x()).alias("squares"),
            how_many(x().gt(lit(0i64)))?.alias("above"),
            how_many(x().lt(lit(range)))?.alias("below"),
        ];
        frame.aggregate(vec![ident("position")], sums)
    }))
}

fn fill(layout: &Layout, block: &Block, batch: &RecordBatch, cells: &mut [i64], ends: &mut [[i64; 2]]) -> Option<()> {
    let column = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
    let (positions, counts) = (column("position")?, column("n")?);
    let (sums, squares) = (column("sum")?, column("squares")?);
    let (above, below) = (column("above")?, column("below")?);
    let bundles = layout.bundles().get(block.bundles.clone())?;
    let ends = ends.get_mut(block.bundles.clone())?;
    for row in 0..batch.num_rows() {
        let position = usize::try_from(positions.value(row)).ok()?;
        let bundle = bundles.get(position)?;
        if bundle.has_sums() {
            *ends.get_mut(position)? = [above.value(row), below.value(row)];
        }
        let own = cells.get_mut(bundle.cells())?;
        own[0] = counts.value(row);
        if bundle.content != Content::Count {
            own[1] = if sums.is_null(row) { return None } else { sums.value(row) };
        }
        if bundle.content == Content::Squares {
            own[2] = if squares.is_null(row) { return None } else { squares.value(row) };
        }
    }
    Some(())
}

/// Every block counts every row once; anything else means that a plan lost or doubled rows.
fn check_rows(layout: &Layout, cells: &[i64], rows: u64) -> Result<(), StatisticsError> {
    for block in layout.blocks() {
        let counted: i64 = layout.bundles()[block.bundles.clone()].iter().map(|bundle| cells[bundle.first_cell]).sum();
        if counted.cast_unsigned() != rows {
            return Err(StatisticsError::RowCount);
        }
    }
    Ok(())
}

/// The own-cell rule: numbers about 1 to `min_site_count` - 1 subjects, or sums one of whose ends has so few, stay here.
/// How many there are stays here, too: `withheld` says that there are some.
fn hold_back(layout: &Layout, min_site_count: u32, cells: &mut [i64], ends: &[[i64; 2]]) {
    let few = 1..i64::from(min_site_count);
    for (bundle, ends) in layout.bundles().iter().zip(ends) {
        if few.contains(&cells[bundle.first_cell]) || ends.iter().any(|end| few.contains(end)) {
            cells[bundle.cells()].fill(0);
            cells[bundle.withheld()] = 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Float64Array, StringArray};

    use super::*;

    const STUDY: &str = r#"
        version = 1
        title = "T"
        description = "D"
        purpose = "HMB"
        declares = []
        protection = "open"
        [cohort]
        sql = "SELECT id, x, g FROM t"
        subject = "id"
        [[variable]]
        name = "x"
        min = 0
        max = 10
        resolution = 0.5
        [[dimension]]
        name = "g"
        values = ["a"]
        [[dimension]]
        name = "x"
        edges = [0, 5, 10]
        [[dimension]]
        name = "w"
        values = [0, 7]
    "#;

    fn cells(statistic: &str, x: Vec<Option<f64>>, min_site_count: u32) -> Vec<i64> {
        let spec = StudySpec::from_toml(&format!("{STUDY}\n[[statistic]]\nname = \"s\"\n{statistic}"));
        let spec = spec.expect("a valid study");
        let layout = Layout::of(&spec).expect("a valid study");
        let g: StringArray = x.iter().map(|_| Some("a")).collect();
        let x: ArrayRef = Arc::new(Float64Array::from(x));
        let columns = [("x", Arc::clone(&x)), ("w", x), ("g", Arc::new(g))];
        let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)));
        let cohort = [batch.expect("columns of one length")];
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let cells = runtime.block_on(compute(&spec, &layout, &Compared::default(), &cohort, min_site_count, 1_000));
        cells.expect("a fitting cohort").values().to_vec()
    }

    #[test]
    fn values_are_clamped_and_rounded_half_up_to_steps() {
        let all = |x| cells("kind = \"variance\"\nof = \"x\"", x, 1);
        assert_eq!(all(vec![Some(0.25)]), [1, 1, 1, 0, 0, 0]);
        assert_eq!(all(vec![Some(0.24)]), [1, 0, 0, 0, 0, 0]);
        assert_eq!(all(vec![Some(f64::INFINITY), Some(11.0)]), [2, 40, 800, 0, 0, 0]);
        assert_eq!(all(vec![Some(f64::NEG_INFINITY), Some(-0.0)]), [2, 0, 0, 0, 0, 0]);
        assert_eq!(all(vec![Some(f64::NAN), Some(-f64::NAN), None, Some(1.0)]), [1, 2, 4, 0, 3, 0]);
    }

    #[test]
    fn edges_are_half_open_and_no_zero_is_below_zero() {
        let by = |x| {
            let cells = cells("kind = \"count\"\nby = [\"x\"]", vec![Some(x)], 1);
            cells.chunks(2).position(|bundle| bundle[0] == 1)
        };
        // 0 to <5, 5 to <10, other, missing.
        for (x, part) in [(-0.0, 0), (0.0, 0), (4.9, 0), (5.0, 1), (10.0, 2), (-0.1, 2), (f64::NAN, 3)] {
            assert_eq!(by(x), Some(part), "{x}");
        }
        for x in [f64::INFINITY, f64::NEG_INFINITY, f64::MIN, f64::MAX] {
            assert_eq!(by(x), Some(2), "{x}");
        }
    }

    #[test]
    fn whole_numbers_are_found_among_doubles() {
        let x = [0.0, -0.0, 7.0, 7.5, f64::NAN, f64::INFINITY].map(Some).to_vec();
        assert_eq!(cells("kind = \"count\"\nby = [\"w\"]", x, 1), [2, 0, 1, 0, 2, 0, 1, 0]);
    }

    /// Cells of a statistic over a column `v`, declared as the text says.
    fn cells_of(declared: &str, v: ArrayRef) -> Vec<i64> {
        let study = STUDY.split("[[variable]]").next().expect("the study's head").replace("x, g", "v");
        let spec = StudySpec::from_toml(&format!("{study}\n{declared}")).expect("a valid study");
        let layout = Layout::of(&spec).expect("a valid study");
        let batch = RecordBatch::try_from_iter_with_nullable([("v", v, true)]).expect("a column");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let cells = runtime.block_on(compute(&spec, &layout, &Compared::default(), &[batch], 1, 1_000));
        cells.expect("a fitting cohort").values().to_vec()
    }

    #[test]
    fn no_value_that_a_column_can_hold_makes_a_statistic_fail() {
        let variable = |min: &str, max: &str, kind: &str| {
            format!(
                "[[variable]]\nname = \"v\"\nmin = {min}\nmax = {max}\nresolution = 1\n\
                 [[statistic]]\nname = \"s\"\nkind = \"{kind}\"\nof = \"v\"\n"
            )
        };
        let wholes = || Arc::new(arrow::array::Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), None, Some(3)]));
        let doubles = vec![f64::MIN, f64::MAX, f64::NAN, 3.0, f64::NEG_INFINITY, f64::INFINITY, 5e-324, -0.0];
        let doubles = || Arc::new(Float64Array::from(doubles.clone()));
        // n, the sum, the squares, and what is withheld; then the missing.
        assert_eq!(cells_of(&variable("0", "10", "variance"), wholes()), [3, 13, 109, 0, 1, 0]);
        assert_eq!(cells_of(&variable("0", "10", "variance"), doubles()), [7, 23, 209, 0, 1, 0]);
        // As wide as a range may be.
        let wide = 2_000_000_000i64;
        let sum = cells_of(&variable(&format!("-{}", wide / 2), &(wide / 2).to_string(), "sum"), wholes());
        assert_eq!(sum[..2], [3, wide + wide / 2 + 3]);
        let dimension = |categories: &str| {
            format!(
                "[[dimension]]\nname = \"v\"\n{categories}\n[[statistic]]\nname = \"s\"\nkind = \"count\"\nby = [\"v\"]\n"
            )
        };
        // Two categories, other, missing.
        let at_the_ends = dimension("values = [-9223372036854775808, 9223372036854775807]");
        assert_eq!(cells_of(&at_the_ends, wholes()), [1, 0, 1, 0, 1, 0, 1, 0]);
        assert_eq!(cells_of(&dimension("values = [0, 3]"), doubles()), [1, 0, 1, 0, 5, 0, 1, 0]);
        // One interval, other, missing.
        assert_eq!(cells_of(&dimension("edges = [0, 4]"), doubles()), [3, 0, 4, 0, 1, 0]);
        let texts = Arc::new(StringArray::from(vec![Some(""), None, Some("NaN"), Some("a")]));
        assert_eq!(cells_of(&dimension("values = [\"a\", \"b\"]"), texts), [1, 0, 0, 0, 2, 0, 1, 0]);
    }

    #[test]
    fn small_own_counts_stay_with_everything_they_guard() {
        let mean = |present: usize, missing: usize, k| {
            let x = [vec![Some(2.0); present], vec![None; missing]].concat();
            cells("kind = \"mean\"\nof = \"x\"", x, k)
        };
        assert_eq!(mean(5, 5, 5), [5, 20, 0, 5, 0]);
        assert_eq!(mean(4, 5, 5), [0, 0, 1, 5, 0]);
        assert_eq!(mean(5, 4, 5), [5, 20, 0, 0, 1]);
        assert_eq!(mean(1, 1, 5), [0, 0, 1, 0, 1]);
        assert_eq!(mean(0, 0, 5), [0, 0, 0, 0, 0]);
        assert_eq!(mean(1, 1, 1), [1, 4, 0, 1, 0]);
    }

    #[test]
    fn sums_stay_where_few_are_off_an_end() {
        let mean = |at_minimum: usize, between: usize, at_maximum: usize, k| {
            let x = [vec![Some(-1.0); at_minimum], vec![Some(2.0); between], vec![Some(10.0); at_maximum]].concat();
            cells("kind = \"mean\"\nof = \"x\"", x, k)
        };
        assert_eq!(mean(9, 5, 0, 5), [14, 20, 0, 0, 0]);
        assert_eq!(mean(9, 4, 0, 5), [0, 0, 1, 0, 0], "the sum would tell four values");
        assert_eq!(mean(0, 4, 9, 5), [0, 0, 1, 0, 0]);
        assert_eq!(mean(0, 0, 9, 5), [9, 180, 0, 0, 0], "nobody is off the end");
        assert_eq!(mean(4, 0, 9, 5), [0, 0, 1, 0, 0], "yes or no");
    }
}
