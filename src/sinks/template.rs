//! Templates of addresses, headers and bodies: minijinja, in which a value cannot leave its place.
//!
//! Data comes from customers and vendors, so what is printed is escaped for where it stands: a body of JSON gets JSON
//! values (`{"name": {{ data.name }}}`, without quotes around), an address percent-encoded segments, HTML entities.
//! `[vars]` are the operator's own and stand in addresses as they are. An absent variable is an error, never an empty
//! string: `default(...)` says what to do without it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, LazyLock},
};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior,
    value::{Kwargs, Serde, Value, ValueKind},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::scope::Scope;

/// Longest template. Unit: bytes.
pub const TEMPLATE_BYTES_MAX: usize = 64 * 1024;

/// Steps one rendering may take; a message takes a few hundred.
const FUEL: u64 = 200_000;

/// What the place of a template demands of the values printed in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// Nothing: a header, a subject line, plain text.
    Text,
    /// Values print as JSON: strings with their quotes.
    Json,
    /// Values print percent-encoded, `[vars]` as they are.
    Url,
    /// Values print with HTML entities.
    Html,
}

/// A checked template.
#[derive(Clone)]
pub struct Template {
    key: Arc<str>,
    source: Arc<str>,
    escape: Escape,
    environment: Arc<Environment<'static>>,
    variables: Vec<String>,
}

/// A template that cannot be used, or could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template {key}, line {line}: {why}")]
pub struct TemplateError {
    /// Key of the template in the configuration.
    pub key: String,
    /// Line within the template, from 1.
    pub line: usize,
    /// What is wrong, with the name of the variable where it is one.
    pub why: String,
}

impl Template {
    /// Parses a template; `key` names it in errors, `known` are the variables it may use.
    ///
    /// # Errors
    /// If it is no template, too long, or names a variable, filter or function that does not exist.
    pub fn parse(
        key: &str,
        source: &str,
        escape: Escape,
        known: &[&str],
    ) -> Result<Self, TemplateError> {
        let refused = |line: usize, why: String| TemplateError {
            key: key.to_owned(),
            line,
            why,
        };
        if source.len() > TEMPLATE_BYTES_MAX {
            let why = format!("{} bytes, at most {TEMPLATE_BYTES_MAX}", source.len());
            return Err(refused(1, why));
        }
        let mut environment = BASE.clone();
        environment.set_auto_escape_callback(move |_| escape.automatic());
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| refused(error.line().unwrap_or(1), words(&error, source)))?;
        let mut variables: Vec<String> = environment
            .get_template(NAME)
            .map_err(|error| refused(1, words(&error, source)))?
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| !environment.globals().any(|(global, _)| global == name))
            .collect();
        variables.sort();
        if let Some(unknown) = variables.iter().find(|v| !known.contains(&v.as_str())) {
            let line = source
                .lines()
                .position(|line| line.contains(unknown.as_str()));
            let why = format!("unknown variable `{unknown}` (known: {})", known.join(", "));
            return Err(refused(line.map_or(1, |n| n + 1), why));
        }
        Ok(Self {
            key: key.into(),
            source: source.into(),
            escape,
            environment: Arc::new(environment),
            variables,
        })
    }

    /// Renders it over the variables of `scope`.
    ///
    /// # Errors
    /// With the template's key, the line and the variable: if something is absent, of the wrong type, or may not stand
    /// where it would.
    pub fn render(&self, scope: &Scope) -> Result<String, TemplateError> {
        let variables: BTreeMap<String, Value> = self
            .variables
            .iter()
            .filter_map(|name| {
                let value = scope.get(name)?;
                let value = match (name.as_str(), self.escape) {
                    ("vars", Escape::Url) => trusted(value),
                    _ => Value::from(Serde(value)),
                };
                Some((name.clone(), value))
            })
            .collect();
        self.environment
            .get_template(NAME)
            .and_then(|template| template.render(Value::from(variables)))
            .map_err(|error| TemplateError {
                key: self.key.to_string(),
                line: error.line().unwrap_or(1),
                why: words(&error, &self.source),
            })
    }

    /// As it stands in the configuration.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its key in the configuration.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether it prints any variable.
    #[must_use]
    pub const fn has_variables(&self) -> bool {
        !self.variables.is_empty()
    }

    /// Whether it prints this variable.
    #[must_use]
    pub fn uses(&self, variable: &str) -> bool {
        self.variables.iter().any(|name| name == variable)
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        (&self.key, &self.source, self.escape) == (&other.key, &other.source, other.escape)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("key", &self.key)
            .field("source", &self.source)
            .field("escape", &self.escape)
            .finish_non_exhaustive()
    }
}

impl Escape {
    fn automatic(self) -> AutoEscape {
        match self {
            Self::Text => AutoEscape::None,
            Self::Json => AutoEscape::Json,
            Self::Url => AutoEscape::Custom(URL.into()),
            Self::Html => AutoEscape::Html,
        }
    }
}

/// Each template has an environment to itself, which shares all but the template with this one.
static BASE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_debug(true);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("tojson", to_json);
    environment.add_filter("urlencode", url_encode);
    environment.set_formatter(print);
    environment
});

const NAME: &str = "template";
const URL: &str = "url";

fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match state.auto_escape() {
        AutoEscape::Custom(name) if name == URL && !value.is_safe() => {
            out.write_str(&segment(value)?).map_err(Error::from)
        }
        AutoEscape::Custom(_) => write!(out, "{value}").map_err(Error::from),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// As minijinja's own, except that what is absent is no `null`.
fn to_json(value: &Value, args: Kwargs) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, ""));
    }
    minijinja::filters::tojson(value, None, args)
}

fn url_encode(value: &Value) -> Result<Value, Error> {
    segment(value).map(Value::from_safe_string)
}

/// All but the unreserved characters of RFC 3986.
pub(super) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn segment(value: &Value) -> Result<String, Error> {
    let refused = |why| Err(Error::new(ErrorKind::InvalidOperation, why));
    match value.kind() {
        ValueKind::Undefined => Err(Error::new(ErrorKind::UndefinedError, "")),
        ValueKind::String | ValueKind::Number | ValueKind::Bool => match value.to_string().as_str()
        {
            // An address without its last part is often another, valid one: of all customers, not of this.
            "" => refused("an empty value in an address"),
            // No encoding keeps these two from meaning another path.
            "." | ".." => refused("`.` or `..` in an address"),
            text => Ok(utf8_percent_encode(text, SEGMENT).to_string()),
        },
        _ => refused("neither text nor number, in an address"),
    }
}

/// The operator's own values: they hold whole addresses, and are printed as they are.
fn trusted(vars: &serde_json::Value) -> Value {
    let vars: BTreeMap<String, Value> = vars
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let text = value.as_str().unwrap_or_default().to_owned();
            (name.clone(), Value::from_safe_string(text))
        })
        .collect();
    Value::from(vars)
}

/// An error in words, with the piece of the template it is about, and never with the value.
fn words(error: &Error, source: &str) -> String {
    let piece = error.range().and_then(|range| {
        let before = source.get(..range.start)?;
        let start = match (before.trim_end().ends_with('|'), before.rfind("{{")) {
            // The range is the filter's name; what it was applied to stands before.
            (true, Some(open)) => open + 2,
            (true, None) | (false, _) => range.start,
        };
        Some(source.get(start..range.end)?.trim())
    });
    let detail = error.detail().filter(|detail| !detail.is_empty());
    let about = piece.map_or_else(String::new, |piece| format!(" at `{piece}`"));
    match (error.kind(), detail) {
        (ErrorKind::UndefinedError, _) => format!(
            "`{}` is absent; write `{{{{ ... | default(...) }}}}` if it may be",
            piece.unwrap_or("a variable"),
        ),
        (kind, Some(detail)) => format!("{kind}{about}: {detail}"),
        (kind, None) => format!("{kind}{about}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KNOWN: [&str; 2] = ["vars", "data"];

    fn render(source: &str, escape: Escape) -> Result<String, String> {
        let scope = Scope::default()
            .with("vars", json!({"crm": "https://crm.example.com:8443/api"}))
            .with(
                "data",
                json!({
                    "name": "O'Hara \"Bo\" <b@x.org> & ü\n",
                    "path": "../a/b?c=d#e",
                    "up": "..",
                    "empty": "",
                    "n": 3,
                    "rate": 0.5,
                    "none": null,
                    "tags": ["a", "b\""],
                    "nested": {"deep": {"x": true}},
                }),
            );
        let template = Template::parse("destination \"x\".body", source, escape, &KNOWN);
        let template = template.map_err(|error| error.to_string())?;
        template.render(&scope).map_err(|error| error.to_string())
    }

    #[test]
    fn json_templates_yield_the_values_whatever_is_in_them() {
        let source = r#"{"name": {{ data.name }}, "again": {{ data.name | tojson }}, "n": {{ data.n }},
            "rate": {{ data.rate }}, "none": {{ data.none }}, "tags": {{ data.tags }}, "all": {{ data.nested }},
            "url": {{ vars.crm ~ "/" ~ data.n }}, "list": [{% for t in data.tags %}{{ t }}{% if not loop.last %},{% endif %}{% endfor %}],
            "absent": {{ data.absent | default(none) }}, "else": {{ data.absent | default("x") }}}"#;
        let rendered: serde_json::Value =
            serde_json::from_str(&render(source, Escape::Json).unwrap()).unwrap();
        let name = "O'Hara \"Bo\" <b@x.org> & ü\n";
        assert_eq!(
            rendered,
            json!({
                "name": name, "again": name, "n": 3, "rate": 0.5, "none": null, "tags": ["a", "b\""],
                "all": {"deep": {"x": true}}, "url": "https://crm.example.com:8443/api/3",
                "list": ["a", "b\""], "absent": null, "else": "x",
            })
        );
        // Quotes around a value do not hide what is in it: the result is no JSON, which is found at once.
        let quoted = render(r#"{"name": "{{ data.name }}"}"#, Escape::Json).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&quoted).is_err());
    }

    #[test]
    fn no_value_leaves_its_segment_of_an_address() {
        let url = |source| render(source, Escape::Url);
        assert_eq!(
            url("{{ vars.crm }}/v1/{{ data.path }}?name={{ data.name }}&n={{ data.n }}"),
            Ok(
                "https://crm.example.com:8443/api/v1/..%2Fa%2Fb%3Fc%3Dd%23e?name=O%27Hara%20%22Bo%22%20%3Cb%40x.org%3E%20%26%20%C3%BC%0A&n=3"
                    .to_owned()
            )
        );
        assert_eq!(
            url("/{{ data.path | urlencode }}"),
            Ok("/..%2Fa%2Fb%3Fc%3Dd%23e".to_owned())
        );
        for (source, why) in [
            ("/{{ data.up }}", "`.` or `..` in an address"),
            ("/{{ data.empty }}", "an empty value in an address"),
            ("/{{ data.none }}", "neither text nor number, in an address"),
            ("/{{ data.tags }}", "neither text nor number, in an address"),
        ] {
            assert!(
                url(source).unwrap_err().contains(why),
                "{source}: {:?}",
                url(source)
            );
        }
        assert_eq!(
            render("{{ data.path | urlencode }}", Escape::Text),
            Ok("..%2Fa%2Fb%3Fc%3Dd%23e".to_owned())
        );
    }

    #[test]
    fn html_and_text_print_each_as_it_should() {
        assert_eq!(
            render("<b>{{ data.name }}</b>", Escape::Html).unwrap(),
            "<b>O&#x27;Hara &quot;Bo&quot; &lt;b@x.org&gt; &amp; ü\n</b>"
        );
        assert_eq!(
            render("{{ data.n }} {{ data.tags[0] }}", Escape::Text),
            Ok("3 a".to_owned())
        );
    }

    #[test]
    fn an_error_names_key_line_and_variable_and_never_a_value() {
        for (source, expected) in [
            (
                "{\n\"a\": {{ data.queue }}}",
                "template destination \"x\".body, line 2: `data.queue` is absent; write `{{ ... | default(...) }}` if it may be",
            ),
            (
                "{{ data.queue | tojson }}",
                "template destination \"x\".body, line 1: `data.queue | tojson` is absent; write `{{ ... | default(...) }}` if it may be",
            ),
            (
                "\n\n{{ dta.x }}",
                "template destination \"x\".body, line 3: unknown variable `dta` (known: vars, data)",
            ),
        ] {
            assert_eq!(render(source, Escape::Json), Err(expected.to_owned()));
        }
        for source in [
            "{{ data.nested.absent.deep }}",
            "{% if data.absent %}{% endif %}",
            "{% for x in data.absent %}{% endfor %}",
            "{{ data.absent | upper }}",
            "{{ data.absent | urlencode }}",
            "{{ data.name | nothing }}",
            "{{ data.name + 1 }}",
            "{{ data.name | int }}",
            "{{ nothing() }}",
            "{{ data.name",
            "{% include 'x' %}",
            "{% for i in range(10000) %}{% for j in range(10000) %}{% endfor %}{% endfor %}",
        ] {
            let error = render(source, Escape::Text).unwrap_err();
            assert!(
                error.starts_with("template destination \"x\".body, line 1: "),
                "{error}"
            );
            assert!(!error.contains("Hara"), "{error}");
        }
        let long = "x".repeat(TEMPLATE_BYTES_MAX + 1);
        assert!(render(&long, Escape::Text).is_err());
        assert!(render(&long[1..], Escape::Text).is_ok());
    }
}
