use futures::FutureExt as _;

use super::*;
use crate::timer::TokioTimer;

const BOUNDS: BatchBounds = BatchBounds {
    frames: 100,
    bytes: 1 << 20,
    window: Duration::ZERO,
};

fn frame(kind: Kind, symbol: &str, text: &str) -> Frame {
    Frame {
        kind,
        symbol: symbol.to_owned(),
        json: text.to_owned(),
        received_at_ms: 0,
    }
}

/// Puts `kind symbol text` frames in. False: the last one waits.
fn put(queue: &FrameQueue, frames: &[(Kind, &str, &str)]) -> bool {
    frames.iter().all(|(kind, symbol, text)| {
        queue
            .push(frame(kind.clone(), symbol, text))
            .now_or_never()
            .is_some()
    })
}

fn taken(queue: &FrameQueue, bounds: BatchBounds) -> Vec<String> {
    let batch = queue.state().take(bounds);
    batch.into_iter().map(|frame| frame.json).collect()
}

#[test]
fn frames_leave_in_the_order_in_which_they_came() {
    let queue = FrameQueue::new(10);
    assert!(put(
        &queue,
        &[
            (Kind::Quote, "A", "q1"),
            (Kind::Trade, "A", "t1"),
            (Kind::Quote, "A", "q2"),
            (Kind::Bar, "B", "b1"),
        ]
    ));
    assert_eq!(taken(&queue, BOUNDS), ["q1", "t1", "q2", "b1"]);
    assert_eq!(queue.counts().replaced_quotes, 0);
}

#[test]
fn a_full_queue_replaces_the_oldest_quote_that_a_newer_one_of_its_symbol_follows() {
    let queue = FrameQueue::new(3);
    assert!(put(
        &queue,
        &[
            (Kind::Quote, "A", "a1"),
            (Kind::Quote, "B", "b1"),
            (Kind::Quote, "A", "a2"),
            (Kind::Trade, "C", "t1"),
            (Kind::Quote, "B", "b2"),
        ]
    ));
    assert_eq!(queue.counts().replaced_quotes, 2);
    assert_eq!(taken(&queue, BOUNDS), ["a2", "t1", "b2"]);
}

fn open_bar(timeframe: &str) -> Kind {
    Kind::OpenBar(timeframe.parse().unwrap())
}

#[test]
fn a_full_queue_keeps_the_newest_open_bar_of_each_symbol_and_length_and_every_closed_one() {
    let queue = FrameQueue::new(5);
    assert!(put(
        &queue,
        &[
            (open_bar("1m"), "A", "a1"),
            (open_bar("5m"), "A", "five1"),
            (open_bar("1m"), "B", "b1"),
            (Kind::Bar, "A", "closed1"),
            (open_bar("1m"), "A", "a2"),
            (open_bar("1m"), "A", "a3"),
            (Kind::Bar, "A", "closed2"),
        ]
    ));
    let counts = queue.counts();
    assert_eq!((counts.replaced_bars, counts.replaced_quotes), (2, 0));
    assert_eq!(counts.backpressure_waits, 0);
    assert_eq!(
        taken(&queue, BOUNDS),
        ["five1", "b1", "closed1", "a3", "closed2"]
    );
}

#[test]
fn the_only_quote_of_a_symbol_stays() {
    let queue = FrameQueue::new(2);
    assert!(!put(
        &queue,
        &[
            (Kind::Quote, "A", "a1"),
            (Kind::Quote, "B", "b1"),
            (Kind::Quote, "C", "c1"),
        ]
    ));
    assert_eq!(taken(&queue, BOUNDS), ["a1", "b1"]);
}

#[test]
fn bars_trades_and_what_cannot_be_read_are_waited_for_and_never_replaced() {
    for kind in [Kind::Bar, Kind::Trade, Kind::Unreadable] {
        let queue = FrameQueue::new(2);
        let frames = [
            (kind.clone(), "A", "1"),
            (kind.clone(), "A", "2"),
            (kind.clone(), "A", "3"),
        ];
        assert!(!put(&queue, &frames), "{kind:?}");
        let counts = queue.counts();
        assert_eq!((counts.queued, counts.backpressure_waits), (2, 1));
        assert_eq!(counts.replaced_quotes, 0);
    }
}

#[tokio::test]
async fn who_waits_for_room_goes_on_when_a_batch_is_taken() {
    let queue = FrameQueue::new(1);
    assert!(put(&queue, &[(Kind::Bar, "A", "1")]));
    let waiting = queue.push(frame(Kind::Bar, "A", "2"));
    let taking = queue.next_batch(BOUNDS, &TokioTimer);
    let ((), batch) = tokio::join!(waiting, taking);
    assert_eq!(batch.unwrap()[0].json, "1");
    assert_eq!(taken(&queue, BOUNDS), ["2"]);
}

#[test]
fn the_queue_is_bounded_in_bytes_but_takes_any_one_frame() {
    let queue = FrameQueue::new(10);
    let large = "x".repeat(MAX_QUEUE_BYTES + 1);
    assert!(put(&queue, &[(Kind::Bar, "A", &large)]));
    assert!(!put(&queue, &[(Kind::Bar, "A", "1")]));
}

#[test]
fn a_batch_is_bounded_in_frames_and_in_bytes_and_holds_at_least_one() {
    let queue = FrameQueue::new(10);
    let bar = (Kind::Bar, "A", "12345");
    assert!(put(&queue, &[bar.clone(), bar.clone(), bar.clone(), bar]));
    let bounds = |frames, bytes| BatchBounds {
        frames,
        bytes,
        ..BOUNDS
    };
    assert_eq!(taken(&queue, bounds(1, 100)).len(), 1);
    assert_eq!(taken(&queue, bounds(100, 12)).len(), 2);
    assert_eq!(taken(&queue, bounds(100, 1)).len(), 1);
    assert_eq!(queue.counts().queued, 0);
}

#[test]
fn what_is_known_about_quotes_and_open_bars_goes_with_them() {
    let queue = FrameQueue::new(10);
    for _ in 0..3 {
        let renewed = [
            (Kind::Quote, "A", "1"),
            (Kind::Quote, "A", "2"),
            (open_bar("1m"), "A", "3"),
            (open_bar("1m"), "A", "4"),
        ];
        assert!(put(&queue, &renewed));
        taken(&queue, BOUNDS);
    }
    let state = queue.state();
    assert!(state.newest.is_empty() && state.superseded.is_empty());
    assert_eq!(state.bytes, 0);
}

#[tokio::test]
async fn a_closed_queue_gives_what_it_has_and_then_nothing() {
    let queue = FrameQueue::new(10);
    assert!(put(&queue, &[(Kind::Bar, "A", "1")]));
    queue.close();
    let bounds = BatchBounds {
        window: Duration::MAX,
        ..BOUNDS
    };
    assert_eq!(
        queue.next_batch(bounds, &TokioTimer).await.unwrap().len(),
        1
    );
    assert_eq!(queue.next_batch(bounds, &TokioTimer).await, None);
}
