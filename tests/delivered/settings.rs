//! The files that ship with the program, pointed at the sandbox.

use std::{fs, path::Path};

use aftercall::sandbox::{SLACK_TOKEN, Settings, Spawned, TOKEN, call::Vendor};
use toml::{Table, Value};

const DESTINATIONS: &str = include_str!("../../config/destinations.toml");
const FIELDS: &str = include_str!("../../config/fields.toml");

/// A change to one destination or to the rules, as TOML to lay over what ships.
pub type Change = (&'static str, &'static str);

/// Destinations of these names out of those that ship, and what is asked for their recipients.
///
/// A vendor that answers late on a busy machine must not pass for one that does not: what ships waits for seconds,
/// this for a third of a minute, unless a story says otherwise.
pub fn destinations(
    folder: &Path,
    sandbox: &Spawned,
    names: &[&str],
    changes: &[Change],
) -> String {
    let mut file: Table = DESTINATIONS.parse().expect("the file that ships");
    for (name, value) in table(&mut file, "vars") {
        let vendor = match name.as_str() {
            "people" => Some(Vendor::Genesys),
            other => Vendor::named(other),
        };
        match vendor {
            Some(vendor) => *value = sandbox.url(vendor).into(),
            None if name == "genesys_login" => {
                *value = format!("http://{}", sandbox.address).into()
            }
            // Links for people and domains of theirs: nobody follows them.
            None => {}
        }
    }
    for recipient in tables(list(&mut file, "recipient")) {
        if recipient.contains_key("url") {
            recipient.insert("timeout".to_owned(), "20s".into());
        }
    }
    let shipped = list(&mut file, "destination");
    shipped.retain(|one| names.contains(&one["name"].as_str().expect("a name")));
    assert_eq!(shipped.len(), names.len(), "{names:?} ship");
    for destination in tables(shipped) {
        let name = destination["name"].as_str().expect("a name").to_owned();
        lay_over(
            destination,
            r#"timeout = { connect = "10s", total = "20s" }"#,
        );
        if let Some(retry) = destination.get_mut("retry") {
            let retry = retry.as_table_mut().expect("a table");
            retry.insert("deadline".to_owned(), "1d".into());
        }
        if name == "slack" {
            destination.insert(
                "url".to_owned(),
                (sandbox.url(Vendor::Slack) + "/api").into(),
            );
        }
        if name == "email" {
            // The sandbox's mail server has neither certificate nor logins; `smtp` tests both.
            destination.insert("smtp".to_owned(), format!("smtp://{}", sandbox.smtp).into());
            destination.insert("starttls".to_owned(), "off".into());
            destination.remove("auth");
        }
        for (_, change) in changes.iter().filter(|(of, _)| *of == name) {
            lay_over(destination, change);
        }
    }
    let mut file = Value::Table(file);
    secrets_from_files(&mut file, folder, sandbox);
    let text = toml::to_string(&file).expect("TOML");
    written(folder, "destinations.toml", &text)
}

/// The field policy, for these destinations.
pub fn fields(folder: &Path, names: &[&str]) -> String {
    let mut file: Table = FIELDS.parse().expect("the file that ships");
    let policies = file["destination"].as_table_mut().expect("a table");
    policies.retain(|name, _| names.contains(&name));
    // Keys that nothing here needs would have to be somewhere.
    let key = written(
        folder,
        "hash.key",
        "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=",
    );
    let keys = format!("hash = \"file:{key}\"");
    file.insert("keys".to_owned(), Value::Table(keys.parse().expect("TOML")));
    let text = toml::to_string(&file).expect("TOML");
    written(folder, "fields.toml", &text)
}

/// The rules that ship, with this text in place of that.
pub fn rules(changes: &[Change]) -> String {
    let default = aftercall_actors::rules::RuleSet::default_rules();
    changes
        .iter()
        .fold(default.text().to_owned(), |text, (from, to)| {
            assert_eq!(
                text.matches(from).count(),
                1,
                "`{from}` in the rules that ship"
            );
            text.replace(from, to)
        })
}

/// A file in the folder; its path.
pub fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("a file");
    path.display().to_string()
}

/// `env:NAME` becomes a file that holds what the sandbox wants to see there.
fn secrets_from_files(value: &mut Value, folder: &Path, sandbox: &Spawned) {
    match value {
        Value::String(text) => {
            if let Some(name) = text.strip_prefix("env:") {
                let settings = Settings::default();
                let secret = match name {
                    "SLACK_BOT_TOKEN" => SLACK_TOKEN.to_owned(),
                    "SLACK_WEBHOOK_URL" => sandbox.url(Vendor::Slack) + "/services/T0/B0/floor",
                    "TEAMS_WEBHOOK_URL" => sandbox.url(Vendor::Teams) + "/workflows/floor",
                    _ if name.ends_with("_CLIENT_ID") => settings.client_id,
                    _ if name.ends_with("_CLIENT_SECRET") => settings.client_secret,
                    _ => TOKEN.to_owned(),
                };
                *text = format!("file:{}", written(folder, name, &secret));
            }
        }
        Value::Array(list) => {
            for value in list {
                secrets_from_files(value, folder, sandbox);
            }
        }
        Value::Table(table) => {
            for (_, value) in table {
                secrets_from_files(value, folder, sandbox);
            }
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

/// Lays keys over those of a table, and keys of tables in it over theirs.
fn lay_over(table: &mut Table, change: &str) {
    let change: Table = change.parse().expect("TOML");
    for (name, value) in change {
        match (table.get_mut(&name), value) {
            (Some(Value::Table(old)), Value::Table(new)) if name == "retry" => old.extend(new),
            (_, value) => {
                table.insert(name, value);
            }
        }
    }
}

fn table<'a>(file: &'a mut Table, name: &str) -> &'a mut Table {
    file[name].as_table_mut().expect("a table")
}

fn list<'a>(file: &'a mut Table, name: &str) -> &'a mut Vec<Value> {
    file[name].as_array_mut().expect("a list")
}

fn tables(list: &mut [Value]) -> impl Iterator<Item = &mut Table> {
    list.iter_mut()
        .map(|one| one.as_table_mut().expect("a table"))
}
