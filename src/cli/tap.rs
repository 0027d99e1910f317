//! `aftercall tap`: outputs as they come.

use aftercall_actors::contract::output::Kind;
use clap::{Args, ValueEnum, builder::PossibleValue};
use futures::StreamExt;

use super::{Failure, LogArgs, Setting, render, terminal::Out};
use crate::{
    app::Bus,
    envelope,
    log::{Lane, TailFrom},
};

/// Show outputs as they come: alerts, profile updates and the rest
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  aftercall tap --kind alert,coaching
  aftercall tap --from start --json | head -n 100

With --json each line is one structured CloudEvent. Ends with Ctrl-C, or when nobody reads its output any more.")]
pub(super) struct Tap {
    #[command(flatten)]
    log: LogArgs,
    /// Only these kinds [default: all but dead]
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<KindArg>,
    /// Where to begin
    #[arg(long, value_enum, default_value_t = From::Now)]
    from: From,
    /// End after this many outputs
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print structured CloudEvents, one a line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum From {
    /// With the oldest output still held.
    Start,
    /// With the next one.
    Now,
}

/// A lane, by the name it has in subjects.
#[derive(Clone, Copy, Debug)]
struct KindArg(Lane);

/// As many as there are lanes.
const KINDS: [KindArg; Lane::COUNT] = {
    let mut all = [KindArg(Lane::Dead); Lane::COUNT];
    let mut i = 0;
    while i < Kind::ALL.len() {
        all[i] = KindArg(Lane::Out(Kind::ALL[i]));
        i += 1;
    }
    all
};

impl ValueEnum for KindArg {
    fn value_variants<'a>() -> &'a [Self] {
        &KINDS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

impl Tap {
    pub(super) fn run(self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        let config = setting.with_log(&self.log)?.config;
        let lanes: Vec<Lane> = match self.kind.as_slice() {
            [] => Kind::ALL.map(Lane::Out).into(),
            kinds => kinds.iter().map(|kind| kind.0).collect(),
        };
        let from = match self.from {
            From::Start => TailFrom::Start,
            From::Now => TailFrom::Now,
        };
        let mut left = self.count.unwrap_or(u64::MAX);
        bus.block_on(async {
            let log = bus.open_log(&config.log).await?;
            let outputs = log.outputs_tail(&lanes, from).await?;
            // What has already come is printed before anything is flushed.
            let mut chunks = outputs.ready_chunks(256);
            let mut out = Out::new();
            while left > 0 {
                let Some(chunk) = chunks.next().await else {
                    break;
                };
                for output in chunk
                    .into_iter()
                    .take(usize::try_from(left).unwrap_or(usize::MAX))
                {
                    let output = match output {
                        Ok(output) => output,
                        Err(error) if error.is_transient() => {
                            tracing::warn!(%error, "tap waits");
                            continue;
                        }
                        Err(error) => return Err(error.into()),
                    };
                    left -= 1;
                    if self.json {
                        out.json(&envelope::structured_output(&output))?;
                    } else {
                        out.line(render::line(&output))?;
                    }
                }
                out.flush()?;
            }
            Ok(())
        })
    }
}
