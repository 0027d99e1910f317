//! `aftercall sandbox`: vendor clouds on this machine, to try destinations against.

use std::{net::SocketAddr, time::Duration};

use clap::Args;

use super::{Failure, terminal::Out};
use crate::{
    app,
    config::units::Span,
    sandbox::{self, Running, Settings, call::Vendor},
};

/// Play vendor clouds over HTTP: Slack, Teams, Genesys, reward marketplace, CRM and others, with quirks and faults
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(super) struct Sandbox {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Address to take mail on, SMTP without TLS; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    smtp: SocketAddr,
    /// Seed of chance in faults and of tokens given out
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Wait before each answer, such as 20ms
    #[arg(long, value_name = "D", default_value = "0ms")]
    latency: Span,
    /// How long recordings are being uploaded, from when they are first asked for
    #[arg(long, value_name = "D", default_value = "45s")]
    recording_after: Span,
    /// No rate limits of vendors
    #[arg(long)]
    no_limits: bool,
    /// Keep counts of calls only, not the calls
    #[arg(long)]
    counts_only: bool,
    /// Calls, messages, customers and keys remembered, of each
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    keep: usize,
    /// Id of the OAuth client
    #[arg(long, value_name = "ID", default_value = "aftercall")]
    client_id: String,
    /// Secret of the OAuth client; it protects nothing
    #[arg(long, value_name = "SECRET", default_value = "sandbox-secret")]
    client_secret: String,
    /// Secret that webhooks to /hooks are signed with; it protects nothing
    #[arg(long, value_name = "SECRET", default_value = sandbox::WEBHOOK_SECRET)]
    webhook_secret: String,
    /// A bearer token that is always good; may be repeated [default: sandbox-token and xoxb-sandbox]
    #[arg(long, value_name = "TOKEN")]
    token: Vec<String>,
}

const HELP: &str = "\
Example:
  aftercall sandbox --listen 127.0.0.1:9700 --latency 20ms

Everything stays in memory and is gone at the end. Ends with Ctrl-C.

What is played, below http://ADDR:
  /oauth/token                     client credentials, by Basic or form (RFC 6749); tokens expire; `expires_in` may be
                                   asked for; also below each vendor, such as /crm/oauth/token
  /genesys/api/v2/...              conversations/{id}, conversations/{id}/recordings (UPLOADING, then AVAILABLE; ERROR;
                                   DELETED), conversations/{id}/summaries, routing/queues/{id}/supervisors,
                                   users/{id}/superiors
  /slack/api/chat.postMessage      1 message a second and channel, then 429; errors are a 200 with ok: false
  /slack/api/chat.update           by channel and ts, for who posted it
  /slack/services/{hook}           incoming webhook: answers ok, or invalid_payload and the like
  /teams/workflows/{hook}          202; Adaptive Cards only; 28 KB; 4 requests a second
  /rewards/v1/rewards/issue        the original answer for a known key, 409 for another body under it, 200 with REJECTED
  /rewards/v1/rewards[/{id}]       GET; DELETE reverses, once
  /tremendous/api/v2/orders[/{id}] idempotent by external_id
  /crm/v1/customers[/{id}]         PUT is 404 until POST; erased 410; over 10 KB 413
  /cdp/v1/profiles/resolve         confidence by the identifier's last character: 9 is 0.9, 8 low, 7 none given, 6 nobody,
                                   any other 0.95
  /cdp/v1/interactions/track       not without a userId
  /survey/v1/tokens/generate       tokens for one agent and interaction, for exp_offset_seconds
  /survey/v1/tokens/redeem         once; 403 for another agent, 409 used, 410 expired
  /warehouse/api/v1/enps_events    append only; the same row again is fine, a changed one is 409
  /coaching/v1/tasks               POST and GET
  /salesforce/services/data/vN/composite/sobjects/{object}/{field}
                                   PATCH upserts; a 200 whose records can have failed one by one
  /hooks/{name}                    any receiver of signed webhooks (Standard Webhooks): 401 unless signed, within 5 min
  /mail/messages                   what came over SMTP (its own port): greylisted@ is put off once, unknown@ refused
All want `Authorization: Bearer TOKEN` but oauth, teams, hooks, mail and Slack's webhooks.

Faults, as a header of one request, or for many by the control endpoint:
  curl -H 'X-Sandbox-Fault: status=503;retry_after=2' ...
  curl http://ADDR/control/faults -d '{\"vendor\":\"rewards\",\"fault\":\"lost\",\"probability\":0.2}'
  curl http://ADDR/control/faults; curl -X DELETE http://ADDR/control/faults[/ID]
  fault        status=CODE[;retry_after=S], throttle[=S] (429): nothing is done
               drop (closes the connection), hang (no answer): nothing is done
               lost (closes the connection), late (no answer): it is done
               slow=MS: done at once, answered later
               lie: a success whose body says no; nothing is done
               oversize: an answer beyond 10 KB
               bom, utf16, latin1, surrogate, gzip: done, and its answer is written so; cut, html, empty: is lost so
  vendor       oauth, genesys, slack, ...; not set: all      method       such as DELETE; not set: all
  probability  0 to 1; not set: each request                 count        strikes at most; not set: no end
  seed         of the probability: the same requests have the same luck, in whatever order they come
The first rule that strikes wins. A chance is drawn per idempotency key and attempt.

Settings, each with POST and a JSON body:
  /control/latency  {\"ms\": 20}
  /control/oauth    {\"expires_in\": 2} {\"revoke\": true} {\"client_secret\": \"new\"}
  /control/rewards  {\"inventory\": {\"gift_card\": 3}, \"barred_agents\": [\"a1\"], \"refuse_reversals\": 409,
                     \"redeemed_agents\": [\"a2\"], \"conflict_on_repeat\": true, \"forget_reversed\": true,
                     \"own_ids_only\": true}
  /control/tremendous  {\"cancel\": [\"EXTERNAL_ID\"]} as somebody does it in the dashboard
  /control/crm      {\"create\": [\"c1\"], \"erase\": [\"c2\"], \"rate\": 50}
  /control/cdp      {\"confidence\": {\"+1555\": 0.3}, \"unknown\": [\"+1556\"], \"oversize\": [\"+1557\"]}
  /control/genesys  {\"recordings\": {\"i1\": \"failed\"}, \"summaries\": {\"i1\": \"A refund.\", \"i2\": null},
                    \"recording_after_ms\": 2000, \"supervisors\": {\"q1\": []},
                    \"superiors\": {\"a1\": [{\"id\": \"u1\", \"name\": \"Ann\", \"email\": \"ann@example.com\"}]}}
                    recordings are uploading, available, failed, deleted, none or unknown (no such conversation)
  /control/slack    {\"missing\": [\"C01\"], \"archived\": [\"C02\"], \"not_in\": [\"C03\"], \"no_service\": [\"hook\"],
                    \"prohibited\": [\"hook\"]}
  /control/salesforce {\"failing\": {\"c1\": \"UNABLE_TO_LOCK_ROW\"}}
  /control/hooks    {\"secret\": \"whsec_...\"}
  /control/teams    {\"missing\": [\"hook\"], \"disabled\": [\"hook\"]}

What was received, and what it did:
  /ledger           every call: ?vendor= ?key= ?executed=true|false ?after=SEQ ?limit=N ?format=ndjson
  /ledger/summary   by vendor: calls, executions, keys executed more than once; DELETE /ledger begins anew
  /control/slack/messages[?channel=]  /control/teams/messages[?hook=]  /control/cdp/tracked";

impl Sandbox {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let defaults = Settings::default();
        let settings = Settings {
            seed: self.seed,
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.clone(),
            webhook_secret: self.webhook_secret.clone(),
            tokens: if self.token.is_empty() {
                defaults.tokens
            } else {
                self.token.clone()
            },
            latency: self.latency.duration(),
            recording_after: self.recording_after.duration(),
            has_limits: !self.no_limits,
            counts_only: self.counts_only,
            keep: self.keep,
            workers: defaults.workers,
            smtp: self.smtp,
        };
        let listen = self.listen;
        actix::System::new().block_on(async move {
            let mut stop = std::pin::pin!(app::stop_signal());
            let running = sandbox::start(listen, &settings).map_err(Failure::usage)?;
            print(&running, &settings)?;
            let signal = stop.as_mut().await;
            // What clients still wait for ends with the process.
            let stopped = tokio::time::timeout(STOP_TIMEOUT, running.stop()).await;
            drop(stopped);
            signal?;
            Ok(())
        })
    }
}

/// How long connections may take to be cut.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

fn print(running: &Running, settings: &Settings) -> Result<(), Failure> {
    let mut out = Out::new();
    for vendor in Vendor::ALL {
        if vendor != Vendor::Nobody {
            let url = running.url(vendor);
            out.line(format_args!("{:<12}{url}", vendor.name()))?;
        }
    }
    let address = running.address;
    out.line("")?;
    let tokens = settings.tokens.join(" or ");
    out.line(format_args!("token       {tokens}"))?;
    let client = [&settings.client_id, &settings.client_secret];
    out.line(format_args!("client      {} {}", client[0], client[1]))?;
    out.line(format_args!("smtp        {}", running.smtp))?;
    out.line(format_args!("signed with {}", settings.webhook_secret))?;
    out.line(format_args!("ledger      http://{address}/ledger/summary"))?;
    out.line(format_args!(
        "fault       curl http://{address}/control/faults -d '{{\"vendor\":\"rewards\",\"fault\":\"lost\",\"count\":3}}'"
    ))?;
    out.line("")?;
    out.line("All faults and settings: aftercall sandbox --help. Ctrl-C ends.")?;
    Ok(out.flush()?)
}
