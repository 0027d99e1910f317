//! Templates of addresses, headers and bodies: minijinja, in which a value cannot leave its place.
//!
//! Data comes from customers and vendors, so what is printed is escaped for where it stands: a body of JSON gets JSON
//! values (`{"name": {{ data.name }}}`, without quotes around), an address percent-encoded segments, HTML entities.
//! `[vars]` are the operator's own and stand in addresses as they are. An absent variable is an error, never an empty
//! string: `default(...)` says what to do without it.

use std::{
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
        let variables: Value = self
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
            .and_then(|template| template.render(variables))
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
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
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
    vars.as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let text = value.as_str().unwrap_or_default().to_owned();
            (name.clone(), Value::from_safe_string(text))
        })
        .collect()
}

/// An error in words, with the piece of the template it is about, and never with the value.
fn words(error: &Error, source: &str) -> String {
    let piece = error.range().and_then(|range| source.get(range));
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
