use std::sync::Arc;

use bulkhead_store::Store as _;
use futures::FutureExt as _;
use futures::executor::block_on;
use futures::future::join_all;

use crate::stores::{assert_conflict, commit, create, open, order, replace, upsert};

/// More commits than the writer takes into one transaction, and than its queue holds.
const COMMITS: usize = 600;

#[test]
fn commits_that_wait_together_are_all_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let commits = (0..COMMITS).map(|n| store.commit(vec![create(&n.to_string(), "1")], 0));
    let answers = block_on(join_all(commits));
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_deref().unwrap() == [1])
    );
    assert_eq!(block_on(store.count("orders")).unwrap(), COMMITS as u64);
}

#[test]
fn a_conflict_among_waiting_commits_rolls_back_its_own_writes_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    commit(&store, vec![create("shared", "0")]).unwrap();
    let commits = (0..100).map(|n| {
        let own = n.to_string();
        store.commit(vec![upsert(&own, "1"), replace("shared", 1, &own)], 0)
    });
    let answers = block_on(join_all(commits));
    let won: Vec<usize> = (0..100).filter(|n| answers[*n].is_ok()).collect();
    let [winner] = won[..] else {
        panic!("won: {won:?}")
    };
    assert_eq!(order(&store, "shared"), Some((2, winner.to_string())));
    assert_eq!(block_on(store.count("orders")).unwrap(), 2);
    for (n, answer) in answers.into_iter().enumerate() {
        if n != winner {
            assert_conflict(answer, "shared", Some(2));
            assert_eq!(order(&store, &n.to_string()), None);
        }
    }
}

#[test]
fn a_race_between_threads_has_one_winner_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder));
    const ROUNDS: usize = 25;
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            std::thread::spawn(move || {
                (0..ROUNDS)
                    .filter(|n| commit(&*store, vec![create(&n.to_string(), "1")]).is_ok())
                    .count()
            })
        })
        .collect();
    let won: usize = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    assert_eq!(won, ROUNDS);
}

#[test]
fn dropping_the_store_carries_out_what_is_queued() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    for n in 0..50 {
        // Polled once, so that it is queued; the answer is not waited for.
        let _ = store
            .commit(vec![create(&n.to_string(), "1")], 0)
            .now_or_never();
    }
    drop(store);
    let store = open(&folder);
    assert_eq!(block_on(store.count("orders")).unwrap(), 50);
}
