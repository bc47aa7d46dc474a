//! Kill switches that the store cannot read.

use std::path::Path;
use std::sync::Arc;

use bulkhead_grants::egress::EgressClass;
use bulkhead_grants::reason;
use bulkhead_sandbox::ComponentSpec;
use bulkhead_stage::Runner as _;
use bulkhead_store::{Key, SqliteOptions, SqliteStore, Store as _, Write};
use bulkhead_tests::{NOW_MS, guest, invocation, sandbox_over};
use rusqlite::Connection;
use serde_json::json;

use crate::alone;
use crate::venue::{BODY, Venue};

/// The documents that stop order entry, each as it does not, and the word of the refusal when it cannot be read.
const SWITCHES: [(&str, &str, &str, &str); 3] = [
    (
        "ops",
        "execution_kill_switch",
        r#"{"enabled":false}"#,
        reason::EXECUTION_KILL_SWITCH,
    ),
    (
        "systemStatus",
        "risk_management",
        r#"{"trading_enabled":true}"#,
        reason::TRADING_DISABLED,
    ),
    (
        "systemStatus",
        "trading_gate",
        r#"{"trading_enabled":true}"#,
        reason::TRADING_GATE_CLOSED,
    ),
];

/// The guest with leave to enter orders at `venue`.
fn enters_orders(venue: &Venue) -> ComponentSpec {
    let mut spec = venue.reached_by(guest("guest"));
    spec.variables.insert("exec_kill_switch".into(), "0".into());
    for rule in &mut spec.egress.rules {
        rule.class = EgressClass::OrderEntry;
    }
    spec
}

/// A store in which every switch is off.
async fn switched_off(path: &Path) -> SqliteStore {
    let store = SqliteStore::open(path, SqliteOptions::default()).unwrap();
    for (collection, id, body, _) in SWITCHES {
        let write = Write::Upsert {
            key: Key::new(collection, id).unwrap(),
            body: body.into(),
        };
        store.commit(vec![write], NOW_MS).await.unwrap();
    }
    store
}

/// Leaves a document without a body that is text, so that the store answers with an error.
fn damage(path: &Path, collection: &str, id: &str) {
    let connection = Connection::open(path).unwrap();
    let statement =
        "UPDATE documents SET body = CAST(x'ff' AS TEXT) WHERE collection = ?1 AND id = ?2";
    assert_eq!(connection.execute(statement, [collection, id]), Ok(1));
}

#[tokio::test]
async fn a_kill_switch_that_the_store_cannot_read_stops_order_entry() {
    let _alone = alone().await;
    for (collection, id, _, word) in SWITCHES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = Arc::new(switched_off(&path).await);
        let venue = Venue::open(BODY).await;
        let sandbox = sandbox_over(store.clone(), vec![enters_orders(&venue)]);
        let input = json!({
            "program": "fetch",
            "method": "PUT",
            "scheme": "http",
            "authority": venue.address.to_string(),
            "path": "/",
        });
        let order = || sandbox.run("guest", invocation(&input.to_string(), false));

        assert_eq!(order().await.usage.denials, [], "{id}");
        assert_eq!(venue.accepted(), 1, "{id}");

        damage(&path, collection, id);
        let key = Key::new(collection, id).unwrap();
        store.get(&key).await.unwrap_err();
        let denials = order().await.usage.denials;
        assert_eq!(denials.len(), 1, "{id}: {denials:?}");
        assert_eq!(denials[0].reason, word);
        assert_eq!(venue.accepted(), 1, "{id}");
    }
}
