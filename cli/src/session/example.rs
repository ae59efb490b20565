//! The example tool `get_weather`: it answers from a table that is part of this program.

use harmony_format::{ToolDescription, ToolNamespace};
use serde_json::{Value, json};

/// What is said to the user where the tool is used.
pub(crate) const NOTE: &str =
    "get_weather is an example: it answers from a table in this program, not with today's weather";

/// The full name of the tool.
pub(crate) const NAME: &str = "functions.get_weather";

/// City, degrees Celsius, sky.
const WEATHER: [(&str, i32, &str); 40] = [
    ("Amsterdam", 12, "rain"),
    ("Athens", 24, "clear sky"),
    ("Bangkok", 33, "thunder"),
    ("Barcelona", 21, "clear sky"),
    ("Beijing", 16, "strong wind"),
    ("Berlin", 9, "clouds"),
    ("Bogota", 14, "rain"),
    ("Boston", 8, "strong wind"),
    ("Brussels", 11, "rain"),
    ("Buenos Aires", 19, "clouds"),
    ("Cairo", 31, "clear sky"),
    ("Cape Town", 20, "strong wind"),
    ("Chicago", 3, "light snow"),
    ("Copenhagen", 7, "clouds"),
    ("Delhi", 35, "clear sky"),
    ("Dublin", 10, "rain"),
    ("Geneva", 12, "fog"),
    ("Hanoi", 28, "thunder"),
    ("Helsinki", -2, "light snow"),
    ("Istanbul", 17, "clouds"),
    ("Jakarta", 30, "thunder"),
    ("Lagos", 29, "thunder"),
    ("Lima", 18, "fog"),
    ("Lisbon", 19, "clear sky"),
    ("London", 11, "rain"),
    ("Madrid", 22, "clear sky"),
    ("Mexico City", 20, "clouds"),
    ("Moscow", -5, "light snow"),
    ("Nairobi", 23, "clouds"),
    ("New York", 6, "strong wind"),
    ("Oslo", -1, "light snow"),
    ("Paris", 14, "clouds"),
    ("Prague", 9, "fog"),
    ("Rome", 20, "clear sky"),
    ("San Francisco", 15, "fog"),
    ("Seoul", 13, "strong wind"),
    ("Stockholm", 2, "light snow"),
    ("Sydney", 22, "clear sky"),
    ("Tokyo", 18, "clouds"),
    ("Vienna", 10, "strong wind"),
];

/// The declaration of the tool.
pub(crate) fn namespace() -> ToolNamespace {
    let parameters = json!({
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "City and country, e.g. Paris, France"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        },
        "required": ["location"],
    });
    ToolNamespace {
        name: ToolNamespace::FUNCTIONS.to_owned(),
        description: None,
        tools: vec![ToolDescription::new("get_weather", "Gets the current weather of a place.", parameters)],
    }
}

/// The result of a call, as JSON; a call that cannot be answered has an error as its result.
pub(crate) fn call(arguments: &Value) -> Value {
    let Some(location) = arguments.get("location").and_then(Value::as_str) else {
        return json!({"error": "bad request"});
    };
    let city = location.split(',').next().unwrap_or_default().trim();
    let Some((_, celsius, sky)) = WEATHER.iter().find(|(name, ..)| name.eq_ignore_ascii_case(city)) else {
        return json!({"error": "unknown city"});
    };
    let temperature = match arguments.get("unit").and_then(Value::as_str) {
        Some("fahrenheit") => celsius * 9 / 5 + 32,
        _ => *celsius,
    };
    json!({"temperature": temperature, "sky": sky})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cities_are_found_however_they_are_written() {
        for location in ["Paris", "paris", "Paris, France", " PARIS "] {
            assert_eq!(call(&json!({"location": location})), json!({"temperature": 14, "sky": "clouds"}));
        }
        assert_eq!(call(&json!({"location": "Paris", "unit": "fahrenheit"}))["temperature"], 57);
    }

    #[test]
    fn what_cannot_be_answered_is_an_error() {
        assert_eq!(call(&json!({"location": "Atlantis"})), json!({"error": "unknown city"}));
        for arguments in [json!({}), json!({"location": 7}), json!(null)] {
            assert_eq!(call(&arguments), json!({"error": "bad request"}));
        }
    }
}
