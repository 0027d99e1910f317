//! The store of the production log: a nats-server of its own for every test.

use std::{num::NonZeroU16, sync::Mutex, time::Duration};

use aftercall::log::{
    Log, Position,
    jetstream::{JetStreamLog, Settings},
};
use async_nats::jetstream::{self, stream::Config};
use async_trait::async_trait;

use crate::{Factory, PARTITION_COUNT, nats::Nats};

const EVENTS: &str = "CX_EVENTS";

/// A server, and the settings of its clients.
pub struct Server {
    nats: Mutex<Nats>,
    settings: Settings,
}

pub async fn jetstream() -> Server {
    let nats = Nats::start();
    let settings = Settings {
        partitions: NonZeroU16::new(PARTITION_COUNT).expect("not zero"),
        ..Settings::new(nats.url())
    };
    Server {
        nats: Mutex::new(nats),
        settings,
    }
}

#[async_trait]
impl Factory for Server {
    async fn open(&self) -> Log {
        let log = JetStreamLog::connect(self.settings.clone()).await;
        std::sync::Arc::new(log.expect("a log"))
    }

    async fn restart(&self) {
        self.nats.lock().expect("the server").restart();
    }

    /// The stream denies purges, so its limits are made tight for a moment.
    async fn trim_events(&self, before: Position) {
        let client = async_nats::connect(&self.settings.url)
            .await
            .expect("a connection");
        let context = jetstream::new(client);
        let stream = context.get_stream(EVENTS).await.expect("the stream");
        let info = stream.cached_info();
        let left = (info.state.last_sequence + 1).saturating_sub(before);
        let tight = if left == 0 {
            let instant = Duration::from_millis(100);
            Config {
                max_age: instant,
                duplicate_window: instant,
                ..info.config.clone()
            }
        } else {
            Config {
                max_messages: i64::try_from(left).expect("a count"),
                ..info.config.clone()
            }
        };
        context.update_stream(&tight).await.expect("a tight limit");
        loop {
            let state = stream.get_info().await.expect("the stream").state;
            if state.first_sequence >= before {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let before = &info.config;
        context.update_stream(before).await.expect("no limit");
    }

    fn read_ahead(&self) -> usize {
        20_000
    }
}
