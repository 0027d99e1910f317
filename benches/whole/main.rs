//! The whole path, measured against a bare pipeline in the same run.
//!
//! `cargo bench --bench whole -- backlog [--events N]` works a backlog off: yardstick, JetStream, embedded.
//! `cargo bench --bench whole -- live [--rate R] [--seconds S]` measures latency at a fixed rate.
//! `cargo bench --bench whole -- memory [--customers N] [--gap N]` fills the actors, then measures memory and a
//! restart behind a gap. Without a name all three run. `docs/figures.md` explains the figures.

mod backlog;
mod live;
mod memory;
#[path = "../../tests/support/nats.rs"]
mod nats;
mod service;
mod yardstick;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let number = |name: &str, default: u64| {
        let place = arguments.iter().position(|argument| argument == name);
        place
            .and_then(|place| arguments.get(place + 1)?.parse().ok())
            .unwrap_or(default)
    };
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let all = !["backlog", "live", "memory"].into_iter().any(named);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        if all || named("backlog") {
            let only = named("--embedded-only");
            backlog::run(
                number("--events", 2_000_000),
                named("--rules-default"),
                only,
            )
            .await;
        }
        if all || named("live") {
            live::run(number("--rate", 5_000), number("--seconds", 20)).await;
        }
        if all || named("memory") {
            memory::run(number("--customers", 1_000_000), number("--gap", 500_000)).await;
        }
    });
}
