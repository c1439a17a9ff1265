//! JSON that every reader can read: jq 1.6 and JavaScript have numbers of 53 bits and change the digits of longer ones, so
//! that two tokens would compare equal.

use std::fmt::Display;

use serde_json::Value;

/// An id, an epoch, a token or a version: a string, since it may have 64 bits.
pub(crate) fn wide(number: impl Display) -> Value {
    Value::String(number.to_string())
}

/// One line of output.
pub(crate) fn line(value: &Value) -> String {
    debug_assert!(is_exact(value), "a number that not every reader keeps: {value}");
    value.to_string()
}

/// Whether every number in it is an integer that fits into 53 bits.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_u64().is_some_and(|number| number <= 1 << 53),
        Value::Array(values) => values.iter().all(is_exact),
        Value::Object(fields) => fields.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use bellwether::{Epoch, InstanceId, Token};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wide_number_keeps_every_digit() {
        for (value, text) in [
            (wide(Token::new(u64::MAX)), r#""18446744073709551615""#),
            (wide(Epoch::new((1 << 53) + 1)), r#""9007199254740993""#),
            (wide(InstanceId::new(1)), r#""0000000000000001""#),
        ] {
            assert_eq!(line(&value), text);
        }
    }

    #[test]
    fn a_number_that_is_too_wide_is_found_at_any_depth() {
        assert!(is_exact(&json!({ "a": [1, { "b": (1_u64 << 53) }], "c": "18446744073709551615", "d": null })));
        for value in
            [json!((1_u64 << 53) + 1), json!([{ "token": u64::MAX }]), json!({ "a": { "b": [0.5] } }), json!(-1)]
        {
            assert!(!is_exact(&value), "{value}");
        }
    }
}
