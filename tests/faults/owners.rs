//! Two owners of the same partitions: the fence lets one commit, the other finds out and holds nothing any more.

use std::time::Duration;

use aftercall::{shard::board::State, telemetry::metrics};

use crate::fixtures::{Centre, PARTITIONS, SOON, in_virtual_time};

#[test]
fn of_two_owners_the_newer_commits_and_the_older_shows_that_it_was_fenced() {
    in_virtual_time(async |mut centre: Centre| {
        let older = centre.start();
        centre.feed(40).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let fenced_before = metrics().fenced_commits.get();
        let newer = centre.start();
        // Nothing to commit yet: the older one does not know.
        tokio::time::sleep(SOON).await;
        assert_eq!(older.board.complaints(SOON * 10), Vec::<String>::new());

        centre.feed(20).await;
        // The next commit is due within a second, the fence must show within another.
        tokio::time::sleep(SOON * 2).await;
        let accounts = older.board.partitions();
        for account in &accounts {
            assert_eq!(account.state, State::Fenced, "{account:?}");
            assert_eq!((account.actors, account.actor_bytes), (0, 0));
        }
        let complaints = older.board.complaints(SOON * 10);
        assert_eq!(complaints.len(), accounts.len(), "{complaints:?}");
        for complaint in complaints {
            assert!(complaint.contains("has another owner"), "{complaint}");
        }
        // Tests run side by side in one process, and another one may count here too.
        let fenced = metrics().fenced_commits.get() - fenced_before;
        assert!(fenced >= 2 * u64::from(PARTITIONS), "{fenced} were counted");

        centre.feed(20).await;
        centre.all_is_well(&newer).await;
        assert!(newer.board.partitions().iter().all(|p| p.epoch == 2));
    });
}

#[test]
fn owners_that_take_over_from_each_other_again_and_again_say_everything_once() {
    in_virtual_time(async |mut centre: Centre| {
        let mut owners = Vec::new();
        for _ in 0..5 {
            owners.push(centre.start());
            centre.feed(40).await;
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        let newest = owners.pop().expect("five were started");
        centre.all_is_well(&newest).await;
        for older in owners {
            for account in older.board.partitions() {
                assert_eq!(account.state, State::Fenced, "{account:?}");
            }
        }
    });
}
