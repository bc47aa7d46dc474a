use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_kernel::instant::MAX_RFC3339_MS;
use bulkhead_stage::Clock;
use tokio::sync::watch;

/// The longest that a paced clock is not looked at while something waits for it, in milliseconds.
const MAX_NAP_MS: i64 = 1_000;

/// The venue's time. All of the venue that depends on time asks this clock: which bars have opened, which minute of a
/// budget runs, when a stream's next event is due.
#[derive(Clone)]
pub struct VirtualClock(Pace);

#[derive(Clone)]
enum Pace {
    /// Everything has happened.
    Immediate,
    /// Runs `speed` times as fast as `real`.
    Paced {
        start_ms: i64,
        started_ms: i64,
        speed: NonZeroU32,
        real: Arc<dyn Clock>,
    },
    /// Stands still until its [`Stepper`] moves it.
    Stepped(watch::Receiver<i64>),
}

/// What moves a clock that was made by [`VirtualClock::stepped`]. Once it is dropped, the clock stands still for good.
#[derive(Debug)]
pub struct Stepper(watch::Sender<i64>);

impl Stepper {
    /// Moves the clock on to `now_ms`, in Unix milliseconds, at most to the end of the year 9999. It never goes back.
    pub fn advance_to(&self, now_ms: i64) {
        let now_ms = now_ms.min(MAX_RFC3339_MS);
        self.0
            .send_modify(|shown_ms| *shown_ms = now_ms.max(*shown_ms));
    }

    /// Moves the clock on by `millis`. A negative number leaves it where it is.
    pub fn advance(&self, millis: i64) {
        self.advance_to(self.now_ms().saturating_add(millis.max(0)));
    }

    /// What the clock shows, in Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        *self.0.borrow()
    }
}

impl VirtualClock {
    /// A clock on which every bar of the file has opened, and each request falls into a minute of its own.
    pub const fn immediate() -> Self {
        Self(Pace::Immediate)
    }

    /// A clock that shows `start_ms` (Unix milliseconds; the open time of the first bar that is to be released) now,
    /// and from here on goes `speed` times as fast as `real`.
    pub fn paced(start_ms: i64, speed: NonZeroU32, real: Arc<dyn Clock>) -> Self {
        Self(Pace::Paced {
            start_ms,
            started_ms: real.now_ms(),
            speed,
            real,
        })
    }

    /// A clock that shows `start_ms` (Unix milliseconds) until the stepper moves it.
    #[must_use]
    pub fn stepped(start_ms: i64) -> (Self, Stepper) {
        let (stepper, shown) = watch::channel(start_ms);
        (Self(Pace::Stepped(shown)), Stepper(stepper))
    }

    /// The time in the replay, in Unix milliseconds. None: later than every bar.
    pub fn now_ms(&self) -> Option<i64> {
        match &self.0 {
            Pace::Immediate => None,
            Pace::Paced {
                start_ms,
                started_ms,
                speed,
                real,
            } => {
                // A real clock that is set back must not close bars again that have opened: it only stands still.
                let passed = real.now_ms().saturating_sub(*started_ms).max(0);
                Some(start_ms.saturating_add(passed.saturating_mul(i64::from(speed.get()))))
            }
            Pace::Stepped(shown_ms) => Some(*shown_ms.borrow()),
        }
    }

    /// Whether time goes on by itself, so that a reader can fall behind it.
    pub(crate) const fn is_paced(&self) -> bool {
        matches!(self.0, Pace::Paced { .. })
    }

    /// Whether time moves only when it is told to.
    pub(crate) const fn is_stepped(&self) -> bool {
        matches!(self.0, Pace::Stepped(_))
    }

    /// How long `virtual_ms` of this clock take for whoever waits, in milliseconds, rounded up.
    pub(crate) fn waiting_ms(&self, virtual_ms: i64) -> i64 {
        match &self.0 {
            Pace::Paced { speed, .. } => {
                let speed = i64::from(speed.get());
                virtual_ms.saturating_add(speed - 1) / speed
            }
            Pace::Immediate | Pace::Stepped(_) => virtual_ms,
        }
    }

    /// Is ready once the clock shows `at_ms` (Unix milliseconds) or later.
    pub(crate) async fn reach(&self, at_ms: i64) {
        match &self.0 {
            Pace::Immediate => {}
            Pace::Paced { .. } => {
                while let Some(left_ms) = self.left_ms(at_ms) {
                    let nap_ms = self.waiting_ms(left_ms).clamp(1, MAX_NAP_MS);
                    tokio::time::sleep(Duration::from_millis(nap_ms.unsigned_abs())).await;
                }
            }
            Pace::Stepped(shown_ms) => {
                let mut shown_ms = shown_ms.clone();
                let is_stepper_gone = shown_ms.wait_for(|now| *now >= at_ms).await.is_err();
                if is_stepper_gone {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    fn left_ms(&self, at_ms: i64) -> Option<i64> {
        let left_ms = at_ms.saturating_sub(self.now_ms()?);
        (left_ms > 0).then_some(left_ms)
    }

    /// Waits for so long that a peer notices, from the call on: `millis` of real time, or of the clock where it is stepped.
    pub(crate) fn pause(&self, millis: u32) -> impl Future<Output = ()> + Send + use<> {
        self.pause_since(self.now_ms().unwrap_or(0), millis)
    }

    /// The same, where a stepped clock counts from `since_ms` (Unix milliseconds) on.
    pub(crate) fn pause_since(
        &self,
        since_ms: i64,
        millis: u32,
    ) -> impl Future<Output = ()> + Send + use<> {
        let clock = self.clone();
        async move {
            if clock.is_stepped() {
                clock
                    .reach(since_ms.saturating_add(i64::from(millis)))
                    .await;
            } else {
                tokio::time::sleep(Duration::from_millis(u64::from(millis))).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use bulkhead_stage::ManualClock;

    use super::VirtualClock;

    fn paced(start_ms: i64, speed: u32, real: &ManualClock) -> VirtualClock {
        let speed = NonZeroU32::new(speed).unwrap();
        VirtualClock::paced(start_ms, speed, Arc::new(real.clone()))
    }

    #[test]
    fn a_paced_clock_starts_where_it_is_told_and_goes_as_many_times_as_fast() {
        for (speed, after_a_second_ms) in [(1, 1_100), (60, 60_100), (10_000, 10_000_100)] {
            let real = ManualClock::at(5_000);
            let clock = paced(100, speed, &real);
            assert_eq!(clock.now_ms(), Some(100));
            real.advance(1_000);
            assert_eq!(clock.now_ms(), Some(after_a_second_ms));
            real.set(0);
            assert_eq!(clock.now_ms(), Some(100));
        }
    }

    #[test]
    fn an_immediate_clock_is_later_than_every_bar() {
        assert_eq!(VirtualClock::immediate().now_ms(), None);
    }

    #[test]
    fn a_wait_is_as_much_shorter_as_the_clock_is_faster() {
        let real = ManualClock::at(0);
        assert_eq!(paced(0, 60, &real).waiting_ms(60_001), 1_001);
        assert_eq!(paced(0, 1, &real).waiting_ms(60_001), 60_001);
        assert_eq!(VirtualClock::stepped(0).0.waiting_ms(60_001), 60_001);
    }

    #[tokio::test]
    async fn a_stepped_clock_moves_only_when_it_is_told_and_never_back() {
        let (clock, stepper) = VirtualClock::stepped(100);
        assert_eq!(clock.now_ms(), Some(100));
        let reached = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.reach(160).await;
                clock.pause(40).await;
                clock.now_ms()
            }
        });
        stepper.advance(60);
        stepper.advance_to(90);
        assert_eq!(stepper.now_ms(), 160);
        while !reached.is_finished() {
            stepper.advance(40);
            tokio::task::yield_now().await;
        }
        assert!(reached.await.unwrap() >= Some(200));
    }
}
