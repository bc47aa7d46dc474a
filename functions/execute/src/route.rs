//! The task `route`: turns the trade actions that wait into orders.
//!
//! Trade actions are routed series by series, in the order of their decisions, behind a cursor that moves in the same
//! commit as the ledger. The kill switches are read at the start and again before each trade action: one that is turned on
//! stops the run before the next order, and the trade actions that are left wait. One that waited too long is denied.

use bulkhead_kernel::flag;
use bulkhead_kernel::intent::{Intent, OrderState};
use bulkhead_kernel::money::{MoneyError, Quantity};
use bulkhead_kernel::stage::{
    Configuration, Document, Documents, Event, Key, Query, Report, StageError, Write, list_all,
    read_body,
};
use bulkhead_kernel::trade::{SIGNAL_STATE, TRADE_ACTIONS, TradeAction};
use serde_json::{Value, json};

use crate::ledger::{Cursor, EXECUTE_STATE, ORDERS, Order, POSITIONS, Position, intent};
use crate::limits::{Limits, projected};
use crate::switches::{self, Engaged};

/// The variable that keeps orders from being sent: 1, true, yes and on are on, and so is a variable that is not set.
pub const EXEC_DRY_RUN: &str = "exec_dry_run";
/// The most trade actions of one series that a run routes.
pub const ACTIONS_PER_SERIES: u32 = 100;
/// The most trade actions of all series that a run routes. Each takes up to eight calls of the host.
pub const ACTIONS_PER_RUN: usize = 10_000;
/// The most intents that the output lists; all of them are counted.
pub const MAX_LISTED_INTENTS: usize = 100;
/// The topic of the event that tells of orders.
const ORDERS_TOPIC: &str = "telemetry.execute.orders";

/// What the run has done so far.
#[derive(Debug, Default)]
struct Tally {
    routed: usize,
    dry_run: usize,
    denied: usize,
    repeated: usize,
    nothing_to_close: usize,
    intents: Vec<Value>,
}

impl Tally {
    fn output(&self) -> Value {
        json!({
            "trade_actions": self.routed,
            "dry_run": self.dry_run,
            "denied": self.denied,
            "repeated": self.repeated,
            "nothing_to_close": self.nothing_to_close,
            "intents": self.intents,
        })
    }

    fn list(&mut self, order: &Order) {
        if self.intents.len() < MAX_LISTED_INTENTS {
            self.intents.push(json!({
                "client_order_id": order.client_order_id,
                "state": order.state,
                "intent": order.intent,
                "reason": order.reason,
            }));
        }
    }

    /// How many trade actions of the next series may still be routed.
    fn room(&self) -> usize {
        ACTIONS_PER_RUN
            .saturating_sub(self.routed)
            .min(ACTIONS_PER_SERIES as usize)
    }

    /// The report of a run that came to its end, or was stopped by a kill switch.
    fn report(&self, stopped: Option<Engaged>) -> Report {
        let mut output = self.output();
        let mut report = match stopped {
            Some(engaged) => {
                output["detail"] = engaged.detail.into();
                Report::hold(engaged.switch.reason(), output)
            }
            None if self.routed == 0 => Report::skipped("no_trade_actions", output),
            None => Report::success(output),
        };
        if self.routed > 0 {
            report.events.push(Event {
                topic: ORDERS_TOPIC.to_owned(),
                subject: None,
                data: json!({ "dry_run": self.dry_run, "denied": self.denied }),
            });
        }
        report
            .counted("execute_trade_actions_total", self.routed)
            .counted("execute_orders_dry_run_total", self.dry_run)
            .counted("execute_orders_denied_total", self.denied)
    }
}

/// Runs the task.
///
/// # Errors
/// The configuration, the store, or [`StageError::Conflict`] when the ledger holds another intent under an order's id.
pub async fn route(
    ports: &(impl Documents + Configuration),
    now_ms: i64,
) -> Result<Report, StageError> {
    let mut tally = Tally::default();
    if let Some(engaged) = switches::check(ports).await {
        return Ok(tally.report(Some(engaged)));
    }
    let dry_run = ports.value(EXEC_DRY_RUN).map_err(StageError::Internal)?;
    if !dry_run.as_deref().is_none_or(flag::is_true) {
        return Ok(Report::hold("live_routing_unavailable", tally.output()));
    }
    let limits = Limits::read(ports)?;
    let router = Router {
        ports,
        limits: &limits,
        now_ms,
    };
    for series in list_all(ports, SIGNAL_STATE).await? {
        if let Some(engaged) = router.series(&series.key.id, &mut tally).await? {
            return Ok(tally.report(Some(engaged)));
        }
    }
    Ok(tally.report(None))
}

async fn list(
    ports: &impl Documents,
    collection: &str,
    prefix: Option<String>,
    start: Option<String>,
    limit: u32,
) -> Result<Vec<Document>, StageError> {
    ports
        .list(Query {
            collection: collection.to_owned(),
            prefix,
            start,
            limit,
        })
        .await
}

struct Router<'a, P> {
    ports: &'a P,
    limits: &'a Limits,
    now_ms: i64,
}

/// A cursor's document, and the revision it has.
struct Place {
    key: Key,
    revision: Option<u64>,
}

impl<P: Documents + Configuration> Router<'_, P> {
    /// Routes the trade actions of one series. Gives the kill switch that stopped it before the last one.
    async fn series(&self, series: &str, tally: &mut Tally) -> Result<Option<Engaged>, StageError> {
        let key = Key::new(EXECUTE_STATE, series);
        let stored = self.ports.get(key.clone()).await?;
        let last = stored
            .as_ref()
            .map(read_body::<Cursor>)
            .transpose()?
            .map(|cursor| cursor.last_trade_action_id);
        let mut place = Place {
            key,
            revision: stored.map(|document| document.revision),
        };
        // The listing begins at the last one that was routed: one more, and that one is passed over.
        let actions = list(
            self.ports,
            TRADE_ACTIONS,
            Some(format!("{series}-")),
            last.clone(),
            ACTIONS_PER_SERIES + 1,
        )
        .await?;
        let waiting = actions
            .iter()
            .filter(|action| Some(&action.key.id) != last.as_ref());
        for document in waiting.take(tally.room()) {
            if let Some(engaged) = switches::check(self.ports).await {
                return Ok(Some(engaged));
            }
            self.action(document, &mut place, tally).await?;
            tally.routed += 1;
        }
        Ok(None)
    }

    async fn action(
        &self,
        document: &Document,
        place: &mut Place,
        tally: &mut Tally,
    ) -> Result<(), StageError> {
        let id = &document.key.id;
        let action = match read_body::<TradeAction>(document) {
            Ok(action) if action.trade_action_id == *id => action,
            Ok(action) => {
                return self
                    .unreadable(
                        id,
                        &format!("its id says `{}`", action.trade_action_id),
                        place,
                        tally,
                    )
                    .await;
            }
            Err(error) => return self.unreadable(id, &error.to_string(), place, tally).await,
        };
        let key = Key::new(POSITIONS, action.instrument.document_id());
        let stored = self.ports.get(key.clone()).await?;
        let position = stored.as_ref().map(read_body::<Position>).transpose()?;
        let quantity = position
            .as_ref()
            .map_or(Quantity::ZERO, |position| position.quantity);
        let intent = match intent(&action, quantity) {
            Ok(Some(intent)) => intent,
            Ok(None) => {
                tally.nothing_to_close += 1;
                return self.commit(vec![], id, place).await;
            }
            Err(error) => return self.unreadable(id, &error.to_string(), place, tally).await,
        };
        let order_key = Key::new(ORDERS, intent.client_order_id().as_str());
        let (order, revision) = match self.ports.get(order_key.clone()).await? {
            Some(document) => (same_intent(&document, &intent)?, Some(document.revision)),
            None => (Order::intended(intent.clone(), self.now_ms), None),
        };
        if order.state != OrderState::Intended {
            tally.repeated += 1;
            return self.commit(vec![], id, place).await;
        }
        let allowed = self
            .limits
            .check_age(&action, self.now_ms)
            .and_then(|()| self.limits.check(&intent, quantity));
        if let Err(denied) = allowed {
            let order = moved(order.denied(&denied, self.now_ms), &order_key)?;
            tally.denied += 1;
            tally.list(&order);
            let write = Write::over(revision, order_key, json!(order));
            return self.commit(vec![write], id, place).await;
        }
        let revision = match revision {
            Some(revision) => revision,
            None => {
                let write = Write::Create(order_key.clone(), json!(order));
                self.ports.commit(vec![write]).await?;
                1
            }
        };
        let position = self
            .filled(&intent, quantity)
            .map_err(|error| StageError::Internal(error.to_string()))?;
        let order = moved(order.dry_run(self.now_ms), &order_key)?;
        tally.dry_run += 1;
        tally.list(&order);
        let writes = vec![
            Write::Replace(order_key, revision, json!(order)),
            Write::over(
                stored.map(|document| document.revision),
                key,
                json!(position),
            ),
        ];
        self.commit(writes, id, place).await
    }

    /// The position once the order is filled at its reference price.
    fn filled(&self, intent: &Intent, quantity: Quantity) -> Result<Position, MoneyError> {
        let quantity = projected(intent, quantity)?.normalize();
        Ok(Position {
            instrument: intent.symbol.clone(),
            quantity,
            reference_price: intent.reference_price,
            notional: intent.reference_price.times(quantity)?.normalize(),
            dry_run: true,
            client_order_id: intent.client_order_id().to_string(),
            updated_at_ms: self.now_ms,
        })
    }

    async fn unreadable(
        &self,
        id: &str,
        why: &str,
        place: &mut Place,
        tally: &mut Tally,
    ) -> Result<(), StageError> {
        let order = Order::unreadable(id, why, self.now_ms);
        tally.denied += 1;
        tally.list(&order);
        self.commit(
            vec![Write::Upsert(Key::new(ORDERS, id), json!(order))],
            id,
            place,
        )
        .await
    }

    /// Stores the writes together with the cursor behind the trade action.
    async fn commit(
        &self,
        mut writes: Vec<Write>,
        id: &str,
        place: &mut Place,
    ) -> Result<(), StageError> {
        let cursor = Cursor {
            last_trade_action_id: id.to_owned(),
            updated_at_ms: self.now_ms,
        };
        writes.push(Write::over(
            place.revision,
            place.key.clone(),
            json!(cursor),
        ));
        self.ports.commit(writes).await?;
        place.revision = Some(place.revision.unwrap_or(0) + 1);
        Ok(())
    }
}

/// The order in its next state.
fn moved(order: Option<Order>, key: &Key) -> Result<Order, StageError> {
    order.ok_or_else(|| {
        StageError::Internal(format!("the order `{}` does not move forward", key.id))
    })
}

/// The order that the ledger holds under the id of `intent`.
fn same_intent(document: &Document, intent: &Intent) -> Result<Order, StageError> {
    let order: Order = read_body(document)?;
    if order.intent.as_ref() == Some(intent) {
        return Ok(order);
    }
    Err(StageError::Conflict(format!(
        "the order `{}` holds another intent than the one that is to be routed",
        document.key.id
    )))
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_run_has_room_for_its_bound_and_no_series_for_more_than_its_own() {
        for (routed, room) in [
            (0, 100),
            (ACTIONS_PER_RUN - 100, 100),
            (ACTIONS_PER_RUN - 7, 7),
            (ACTIONS_PER_RUN, 0),
        ] {
            let tally = Tally {
                routed,
                ..Tally::default()
            };
            assert_eq!(tally.room(), room, "{routed}");
        }
    }
}
