//! The result as comma-separated values (RFC 4180), one row per number.
//!
//! Where the result came from stands first, in lines that start with `#`, which RFC 4180 does not know but every reader
//! of statistics can skip: `comment.char = "#"` in R, `comment="#"` in pandas. The columns are those of
//! [`super::arrow`]: an empty `value` with an empty `suppressed_by` is a number that does not exist, such as the mean of
//! nobody.

use super::long::{column_of, dimensions, rows};
use super::{Estimate, Provenance, StudyResult};
use crate::disclosure::Released;

/// Writes the file.
pub fn render(result: &Released<StudyResult>, provenance: &Provenance) -> String {
    let result = result.get();
    let mut out = String::new();
    for (name, value) in provenance.entries() {
        out.push_str(&format!("# {name}: {}\r\n", one_line(&value)));
    }
    let dimensions = dimensions(result);
    let fixed = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut header = fixed(&["statistic", "kind", "variable", "unit"]);
    header.extend(dimensions.iter().map(|name| column_of(name)));
    header.extend(fixed(&["interval", "measure", "value", "sigma", "low", "high", "suppressed_by"]));
    record(&mut out, &header);
    for row in rows(result) {
        let statistic = row.statistic;
        let mut fields = vec![statistic.name.clone(), statistic.kind.to_string()];
        fields.extend([statistic.of.clone().unwrap_or_default(), statistic.unit.clone()]);
        fields.extend(row.groups.iter().map(|label| label.unwrap_or_default().to_string()));
        fields.extend([row.interval.unwrap_or_default().to_string(), row.measure.to_string()]);
        fields.push(match row.value {
            Estimate::Count(count) => count.to_string(),
            Estimate::Real(value) => value.to_string(),
            Estimate::Noisy(noisy) => noisy.value.to_string(),
            Estimate::Suppressed(_) | Estimate::Undefined => String::new(),
        });
        let noisy = row.value.noisy();
        let error = noisy.map(|noisy| [noisy.sigma, noisy.low, noisy.high].map(|number| number.to_string()));
        fields.extend(error.unwrap_or_default());
        fields.push(row.value.suppressed_by().map_or("", |rule| rule.name()).to_string());
        record(&mut out, &fields);
    }
    out
}

fn record(out: &mut String, fields: &[String]) {
    let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
    out.push_str(&fields.join(","));
    out.push_str("\r\n");
}

/// Quoted where a reader needs it, which includes a leading `#`: it would look like a comment.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\r', '\n', '#']) || field.trim() != field {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_string()
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        for (field, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("# no comment", "\"# no comment\""),
            (" padded", "\" padded\""),
        ] {
            assert_eq!(quoted(field), written);
        }
    }
}
