//! Events in a file: kept, put aside, and read back.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_telemetry::{
    CloudEvent, Draft, EventFile, FileBounds, Follower, Handler as _, MAX_EVENT_BYTES, StoredEvent,
    TopicPrefix, newest,
};
use tempfile::TempDir;

/// Four of the events below fill a file.
const QUARTER: usize = MAX_EVENT_BYTES / 4 - 1_000;

fn event(id: usize, topic: &str, bytes: usize) -> Arc<CloudEvent> {
    let draft = Draft {
        id: &id.to_string(),
        application: "app",
        component: "ingest",
        topic,
        subject: None,
        time_ms: 1_767_225_600_000,
        data: &format!("\"{}\"", "a".repeat(bytes)),
    };
    Arc::new(CloudEvent::new(&draft).unwrap())
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson");
    (folder, path)
}

fn open(path: &Path, files: u32) -> EventFile {
    let bounds = FileBounds {
        file_bytes: 0,
        files,
    };
    EventFile::open(path, bounds).unwrap()
}

fn ids(events: &[StoredEvent]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}

fn read(path: &Path, prefix: &str, limit: usize) -> Vec<String> {
    let read = newest(path, &prefix.parse().unwrap(), limit).unwrap();
    ids(&read.events).into_iter().map(str::to_owned).collect()
}

fn follow(follower: &mut Follower) -> Vec<String> {
    std::iter::from_fn(|| follower.next().unwrap())
        .map(|event| event.id)
        .collect()
}

#[test]
fn events_are_kept_one_a_line_as_they_were_published() {
    let (_folder, path) = folder();
    let events = [event(1, "a", 3), event(2, "b", 3)];
    open(&path, 2).handle(&events).unwrap();
    let lines = format!("{}\n{}\n", events[0].as_json(), events[1].as_json());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), lines);
    let read = newest(&path, &TopicPrefix::default(), 10).unwrap();
    assert_eq!(read.events[1].json, events[1].as_json());
    assert_eq!(read.events[1].source, "/bulkhead/app/ingest");
}

#[cfg(unix)]
#[test]
fn a_new_file_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, path) = folder();
    open(&path, 2);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_full_file_is_put_aside_and_the_oldest_goes() {
    let (folder, path) = folder();
    let mut file = open(&path, 3);
    for id in 0..14 {
        file.handle(&[event(id, "a", QUARTER)]).unwrap();
    }
    let names = names(folder.path());
    assert_eq!(
        names,
        ["events.ndjson", "events.ndjson.1", "events.ndjson.2"]
    );
    for name in &names {
        let bytes = std::fs::metadata(folder.path().join(name)).unwrap().len();
        assert!(bytes <= MAX_EVENT_BYTES as u64 + 2, "{name}: {bytes}");
    }
    let kept = read(&path, "", 100);
    assert_eq!(kept, ["4", "5", "6", "7", "8", "9", "10", "11", "12", "13"]);
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn while_no_new_file_can_be_opened_nothing_is_put_aside_and_nothing_goes() {
    let (folder, path) = folder();
    let mut file = open(&path, 3);
    for id in 0..12 {
        file.handle(&[event(id, "a", QUARTER)]).unwrap();
    }
    let kept = read(&path, "", 100);
    let in_the_way = folder.path().join("events.ndjson.new");
    std::fs::create_dir(&in_the_way).unwrap();
    for id in 12..17 {
        file.handle(&[event(id, "a", QUARTER)]).unwrap_err();
    }
    assert_eq!(read(&path, "", 100), kept);
    std::fs::remove_dir(&in_the_way).unwrap();
    file.handle(&[event(17, "a", QUARTER)]).unwrap();
    assert_eq!(
        read(&path, "", 100),
        [&kept[4..], &["17".to_owned()]].concat()
    );
    assert_eq!(
        names(folder.path()),
        ["events.ndjson", "events.ndjson.1", "events.ndjson.2"]
    );
}

#[test]
fn a_file_that_was_put_aside_before_its_successor_had_its_name_is_not_put_aside_again() {
    let (folder, path) = folder();
    let mut file = open(&path, 4);
    for id in 0..12 {
        file.handle(&[event(id, "a", QUARTER)]).unwrap();
    }
    // What is left where the last step fails: the old ones have moved, and none has the first name.
    for number in [2, 1, 0] {
        let name = |number: u32| match number {
            0 => path.clone(),
            _ => folder.path().join(format!("events.ndjson.{number}")),
        };
        std::fs::rename(name(number), name(number + 1)).unwrap();
    }
    file.handle(&[event(12, "a", QUARTER)]).unwrap();
    let expect: Vec<String> = (0..13).map(|id: u32| id.to_string()).collect();
    assert_eq!(read(&path, "", 100), expect);
}

#[test]
fn with_one_file_a_full_one_is_replaced() {
    let (_folder, path) = folder();
    let mut file = open(&path, 1);
    let events: Vec<_> = (0..5).map(|id| event(id, "a", QUARTER)).collect();
    file.handle(&events).unwrap();
    assert_eq!(read(&path, "", 100), ["4"]);
}

#[test]
fn a_batch_may_go_over_several_files() {
    let (_folder, path) = folder();
    let events: Vec<_> = (0..9).map(|id| event(id, "a", QUARTER)).collect();
    open(&path, 4).handle(&events).unwrap();
    assert_eq!(read(&path, "", 100).len(), 9);
}

#[test]
fn the_longest_event_fits_into_a_file() {
    let (_folder, path) = folder();
    let frame = event(1, "a", 1).as_json().len() - 1;
    let longest = event(1, "a", MAX_EVENT_BYTES - frame);
    assert_eq!(longest.as_json().len(), MAX_EVENT_BYTES);
    let mut file = open(&path, 2);
    file.handle(&[Arc::clone(&longest)]).unwrap();
    file.handle(&[longest]).unwrap();
    let read = newest(&path, &TopicPrefix::default(), 2).unwrap();
    assert_eq!(read.unreadable, 0);
    assert_eq!(read.events.len(), 1, "the same event is given once");
}

#[test]
fn a_file_is_appended_to_after_a_line_that_was_cut_short() {
    let (_folder, path) = folder();
    open(&path, 2).handle(&[event(1, "a", 1)]).unwrap();
    let mut torn = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    torn.write_all(b"{\"specversion\":\"1.0\",\"id\":\"cut")
        .unwrap();
    open(&path, 2).handle(&[event(2, "a", 1)]).unwrap();
    let read = newest(&path, &TopicPrefix::default(), 10).unwrap();
    assert_eq!(ids(&read.events), ["1", "2"]);
    assert_eq!(read.unreadable, 1);
}

#[test]
fn the_newest_of_some_topics_are_read_across_files_the_oldest_first() {
    let (_folder, path) = folder();
    let mut file = open(&path, 4);
    for id in 0..10 {
        let topic = if id % 2 == 0 {
            "telemetry.ingest"
        } else {
            "risk"
        };
        file.handle(&[event(id, topic, QUARTER)]).unwrap();
    }
    assert_eq!(read(&path, "telemetry", 3), ["4", "6", "8"]);
    assert_eq!(read(&path, "", 2), ["8", "9"]);
    assert!(read(&path, "", 0).is_empty());
}

#[test]
fn where_there_is_no_file_there_is_no_event_and_one_that_comes_is_followed() {
    let (_folder, path) = folder();
    let mut read = newest(&path, &TopicPrefix::default(), 10).unwrap();
    assert!(read.events.is_empty());
    open(&path, 2).handle(&[event(1, "a", 1)]).unwrap();
    assert_eq!(follow(&mut read.follower), ["1"]);
}

#[test]
fn a_follower_goes_on_where_the_newest_ended_and_over_files_put_aside() {
    let (_folder, path) = folder();
    let mut file = open(&path, 2);
    file.handle(&[event(0, "a", QUARTER)]).unwrap();
    let mut follower = newest(&path, &"a".parse().unwrap(), 10).unwrap().follower;
    assert!(follow(&mut follower).is_empty());
    for id in 1..6 {
        let topic = if id == 2 { "b" } else { "a" };
        file.handle(&[event(id, topic, QUARTER)]).unwrap();
    }
    assert_eq!(follow(&mut follower), ["1", "3", "4", "5"]);
}

#[test]
fn half_a_line_is_waited_for() {
    let (_folder, path) = folder();
    let line = format!("{}\n", event(1, "a", 1).as_json());
    let (first, second) = line.split_at(20);
    std::fs::write(&path, first).unwrap();
    let mut follower = Follower::new(&path, TopicPrefix::default());
    assert!(follow(&mut follower).is_empty());
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    file.write_all(second.as_bytes()).unwrap();
    assert_eq!(follow(&mut follower), ["1"]);
}

#[test]
fn a_line_that_is_too_long_or_no_event_is_passed_over_and_counted() {
    let (_folder, path) = folder();
    let mut text = "a".repeat(3 * MAX_EVENT_BYTES);
    text.push_str("\nnope\n\u{0}\n\n");
    text.push_str(event(1, "a", 1).as_json());
    text.push('\n');
    std::fs::write(&path, text).unwrap();
    let read = newest(&path, &TopicPrefix::default(), 10).unwrap();
    assert_eq!(ids(&read.events), ["1"]);
    assert_eq!(read.unreadable, 3);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let (folder, _) = folder();
    let path = folder.path().join("nowhere/events.ndjson");
    let error = EventFile::open(&path, FileBounds::default()).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}
