//! Reports as JSON. `docs/schema` describes every field.

use std::fmt::Write;

use serde::Serialize;

use crate::report::formats::printable::is_unprintable;

/// Renders the report as JSON, with a newline at the end.
///
/// # Errors
/// Errors of [`serde_json`]. No report of this crate causes one.
pub fn render(report: &impl Serialize) -> serde_json::Result<String> {
    let mut text = escape_unprintable(&serde_json::to_string_pretty(report)?);
    text.push('\n');
    Ok(text)
}

/// Escapes characters that JSON may hold raw, but that a terminal would obey. Also escapes `##`, because it begins a
/// command anywhere in a line of a CI service's log.
///
/// Such characters occur only inside strings, where the escape has the same meaning. Line breaks occur only between
/// values.
fn escape_unprintable(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() + 1);
    let mut before = ' ';
    for c in json.chars() {
        let begins_command = (before, c) == ('#', '#');
        before = c;
        if c == '\n' || !(is_unprintable(c) || begins_command) {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use serde_json::Value;

    fn check(schema: &str, report: &impl Serialize) {
        let schema: Value = serde_json::from_str(schema).unwrap();
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let report: Value = serde_json::from_str(&render(report).unwrap()).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&report)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
        assert_strict("", &schema);
    }

    /// Checks that every object lists its fields, requires them and allows no others.
    fn assert_strict(place: &str, schema: &Value) {
        match schema {
            Value::Object(fields) => {
                if let Some(properties) = fields.get("properties") {
                    assert_eq!(fields["additionalProperties"], false, "{place}");
                    assert!(fields.contains_key("required"), "{place}");
                    for (name, property) in properties.as_object().unwrap() {
                        let described = ["description", "$ref", "const"];
                        assert!(
                            described.iter().any(|key| property.get(key).is_some()),
                            "{place}/{name}"
                        );
                    }
                }
                for (name, value) in fields {
                    assert_strict(&format!("{place}/{name}"), value);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| assert_strict(place, value)),
            _ => {}
        }
    }

    #[test]
    fn inspect_reports_fit_their_schema() {
        let schema = include_str!("../../../docs/schema/inspect.json");
        check(schema, &samples::inspect());
        check(schema, &samples::inspect_without_python());
        check(schema, &samples::inspect_advised());
    }

    #[test]
    fn minimize_reports_fit_their_schema() {
        let schema = include_str!("../../../docs/schema/minimize.json");
        check(schema, &samples::minimize());
        check(schema, &samples::minimize_dry_run());
    }

    #[test]
    fn compare_reports_fit_their_schema() {
        let schema = include_str!("../../../docs/schema/compare.json");
        check(schema, &samples::compare());
        check(schema, &samples::compare_several());
    }

    #[test]
    fn verify_reports_fit_their_schema() {
        let schema = include_str!("../../../docs/schema/verify.json");
        check(schema, &samples::verify_same());
        check(schema, &samples::verify_different());
    }

    #[test]
    fn bench_reports_fit_their_schema() {
        check(
            include_str!("../../../docs/schema/bench.json"),
            &samples::bench(),
        );
    }

    #[test]
    fn control_characters_are_escaped_and_mean_the_same() {
        let path = "a\x1b[2J\u{9b}\u{202e}\nb\u{7f}";
        let text = render(&path).unwrap();
        assert_eq!(text, "\"a\\u001b[2J\\u009b\\u202e\\nb\\u007f\"\n");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), path);
        assert_eq!(render(&"##vso[x]").unwrap(), "\"#\\u0023vso[x]\"\n");
    }
}
