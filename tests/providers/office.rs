//! The couriers that ship, with the sandbox in place of the vendors.

use std::{sync::Arc, time::Duration};

use aftercall::{
    delivery::{attempt::Attempt, parcel::Parcel, transport::Turn},
    sandbox::{
        self, Settings, Spawned, TOKEN,
        call::Vendor,
        faults::{Fault, Rule},
        ledger::Filter,
    },
    sinks::{
        client::install_provider,
        courier::{Courier, couriers},
        examples,
        fields::FieldPolicy,
        file,
    },
};
use serde_json::Value;
use toml::Table;

const DESTINATIONS: &str = include_str!("../../config/destinations.toml");
const FIELDS: &str = include_str!("../../config/fields.toml");

pub struct Office {
    pub sandbox: Spawned,
    couriers: Vec<Courier>,
    folder: tempfile::TempDir,
}

const DESTINATIONS_OF_REWARDS: [&str; 4] = [
    "rewards",
    "reward-reversals",
    "tremendous",
    "tremendous-reversals",
];

/// The key that ids of agents are hashed with, in base64.
const HASH_KEY: &str = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";

impl Office {
    /// The destinations of rewards as they ship, but for addresses, secrets and patience: `total` is what an attempt
    /// may take. `change` is the last word.
    pub fn open(total: &str, change: impl Fn(&mut Table)) -> Self {
        install_provider();
        let folder = tempfile::tempdir().expect("a folder");
        let listen = "127.0.0.1:0".parse().expect("an address");
        let sandbox = sandbox::spawn(listen, Settings::default()).expect("a sandbox");
        let mut text: Table = DESTINATIONS.parse().expect("the file that ships");
        text.remove("recipient");
        let vars = text["vars"].as_table_mut().expect("vars");
        vars.insert("rewards".into(), sandbox.url(Vendor::Rewards).into());
        vars.insert("tremendous".into(), sandbox.url(Vendor::Tremendous).into());
        let token = folder.path().join("token");
        std::fs::write(&token, TOKEN).expect("a secret");
        let list = text["destination"].as_array_mut().expect("a list");
        list.retain(|one| DESTINATIONS_OF_REWARDS.contains(&one["name"].as_str().unwrap_or("")));
        for one in list {
            let one = one.as_table_mut().expect("a table");
            one.insert("timeout".into(), timeout(total).into());
            let mut auth = Table::new();
            auth.insert("kind".into(), "bearer".into());
            auth.insert("token".into(), format!("file:{}", token.display()).into());
            one.insert("auth".into(), auth.into());
            change(one);
        }
        let checked = file::parse(&text.to_string(), "destinations.toml")
            .unwrap_or_else(|errors| panic!("{errors}"));
        let mut fields: Table = FIELDS.parse().expect("the policy that ships");
        let key = folder.path().join("hash.key");
        std::fs::write(&key, HASH_KEY).expect("a secret");
        let keys = format!("hash = \"file:{}\"", key.display());
        fields.insert("keys".into(), Table::into(keys.parse().expect("TOML")));
        let policies = fields["destination"].as_table_mut().expect("a table");
        policies.retain(|name, _| DESTINATIONS_OF_REWARDS.contains(&name));
        let fields = FieldPolicy::parse(&fields.to_string(), "fields.toml")
            .unwrap_or_else(|errors| panic!("{errors}"));
        Self {
            couriers: couriers(checked.destinations, &Arc::new(fields)).expect("couriers"),
            sandbox,
            folder,
        }
    }

    pub fn courier(&self, name: &str) -> &Courier {
        let mut couriers = self.couriers.iter();
        couriers
            .find(|courier| courier.destination().name == name)
            .unwrap_or_else(|| panic!("no destination {name}"))
    }

    /// An attempt as the driver has it made: with doubt after one whose outcome nobody knows.
    pub async fn turn(&self, name: &str, reward: &Parcel, number: u32, in_doubt: bool) -> Attempt {
        let turn = Turn {
            number,
            in_doubt,
            unknown: in_doubt,
            ..Turn::default()
        };
        self.courier(name).take_turn(reward, None, turn).await
    }

    /// Exchanges the token that all destinations show; `None`: it is gone.
    pub fn write_token(&self, token: Option<&str>) {
        let file = self.folder.path().join("token");
        match token {
            Some(token) => std::fs::write(file, token),
            None => std::fs::remove_file(file),
        }
        .expect("a file");
    }

    /// The next requests of a vendor with this method go wrong, so often.
    pub fn fault(&self, vendor: Vendor, method: &str, count: u64, fault: Fault) {
        let rule = Rule {
            method: Some(method.to_owned()),
            count: Some(count),
            ..Rule::always(vendor, fault)
        };
        self.sandbox.sandbox.add_fault(rule).expect("a fault");
    }

    /// Methods and paths of everything a vendor got, in order.
    pub fn calls(&self, vendor: Vendor) -> Vec<(String, String)> {
        let filter = Filter {
            vendor: Some(vendor),
            ..Filter::default()
        };
        let entries = self.sandbox.sandbox.entries(&filter);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let shown = entries.iter().map(|entry| entry.to_json());
        shown
            .map(|entry| (text(&entry["method"]), text(&entry["path"])))
            .collect()
    }

    pub fn executions(&self, vendor: Vendor, key: &str) -> u64 {
        self.sandbox.sandbox.executions(vendor, key)
    }
}

fn timeout(total: &str) -> Table {
    let text = format!("connect = {total:?}\ntotal = {total:?}");
    text.parse().expect("TOML")
}

/// Long enough for a busy machine, short enough for a test that runs into it.
pub const PATIENCE: Duration = Duration::from_millis(1_500);

/// A reward under an id of its own.
pub fn reward(id: &str, program: &str) -> Parcel {
    of("reward.requested", id, id, program)
}

/// Taking it back.
/// Of a reward that the provider gave no id of its own.
pub fn reversal(id: &str, program: &str) -> Parcel {
    let mut parcel = of(
        "reward.reversal.requested",
        &format!("{id}:reverse"),
        id,
        program,
    );
    let data = parcel.data.as_object_mut().expect("an object");
    data.remove("kept").expect("the example has ids");
    parcel
}

fn of(output: &str, output_id: &str, id: &str, program: &str) -> Parcel {
    let mut parcel = examples::of(output).expect("an example");
    parcel.id = output_id.to_owned();
    parcel.data["reward_id"] = id.into();
    parcel.data["program"] = program.into();
    parcel
}
