//! A file read whole before any of it is stored: whether all of it can be, and if not, whether rounding helps.

use std::path::Path;

use bulkhead_kernel::bar::MAX_SCALE;
use bulkhead_store::{Bars, BarsQuery, Series, Store};

use crate::batch::Scales;
use crate::import::{BadRows, ImportError, ImportOptions};
use crate::source::Source;
use crate::{BarReader, Format, Reason, RowError};

/// To how many digits after the decimal point files are rounded at the most: a venue's precision.
pub const VENUE_PLACES: u8 = 8;

/// The columns of values, in their order.
const COLUMNS: [&str; 5] = ["open", "high", "low", "close", "volume"];
const SCALES: usize = MAX_SCALE as usize + 1;

/// What a file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Rows, good and bad.
    pub rows: u64,
    /// Of the bad ones, those that rounding may mend.
    pub unfit: u64,
}

/// Reads all rows and checks that they fit one series, which has these scales already.
pub(crate) fn survey<R: BarReader + ?Sized>(
    reader: &mut R,
    series: &Series,
    options: &ImportOptions,
    scales: Scales,
    mut on_rows: impl FnMut(u64),
) -> Result<Survey, ImportError> {
    let mut source = Source::new(reader, series, options, Scales::default());
    let mut extents = Extents::new(scales);
    while let Some(bars) = source.next()? {
        extents.see(&bars);
        on_rows(source.rows_read);
    }
    if source.rows_read == 0 {
        return Err(ImportError::Empty);
    }
    extents.check()?;
    let rows = source.quarantine.rows.iter();
    Ok(Survey {
        rows: source.rows_read,
        // The list is bounded, but so is what it is for: whether there is any.
        unfit: rows.filter(|row| may_be_mended(&row.reason)).count() as u64,
    })
}

/// To how many digits after the decimal point, [`VENUE_PLACES`] at most, a file must be rounded so that all of its values
/// fit a series. None: rounding does not help, or cannot be tried.
pub(crate) fn round_to_that_fits(
    path: &Path,
    format: Format,
    series: &Series,
    options: &ImportOptions,
    scales: Scales,
) -> Option<u8> {
    // Rows that are bad for another reason are none of its business.
    let lenient = ImportOptions {
        bad_rows: BadRows::Quarantine,
        ..options.clone()
    };
    let fits = |places| {
        let Ok(mut reader) = crate::open(path, format, Some(places)) else {
            return false;
        };
        let found = survey(&mut *reader, series, &lenient, scales, |_| {});
        found.is_ok_and(|found| found.unfit == 0 || options.bad_rows == BadRows::Quarantine)
    };
    // What whole numbers do not mend is no question of digits after the point.
    if !fits(0) {
        return None;
    }
    let mut places = (1..=VENUE_PLACES).rev();
    Some(places.find(|places| fits(*places)).unwrap_or(0))
}

/// Whether rounding may make another value of what was refused.
pub(crate) fn is_about_precision(error: &ImportError) -> bool {
    match error {
        ImportError::Row(RowError { reason, .. }) => may_be_mended(reason),
        ImportError::TooFine { .. } => true,
        _ => false,
    }
}

fn may_be_mended(reason: &Reason) -> bool {
    match reason {
        // The first field is the timestamp.
        Reason::Field(error) => (1..=COLUMNS.len()).contains(&error.place),
        Reason::TooFine { .. } => true,
        _ => false,
    }
}

/// The scales that the stored bars of a series have.
pub(crate) async fn stored_scales<S: Store + ?Sized>(
    store: &S,
    series: &Series,
) -> Result<Scales, ImportError> {
    let query = BarsQuery {
        series: series.clone(),
        start_ms: None,
        end_ms: None,
        limit: 1,
        last: true,
    };
    let bars = store.read_bars(&query).await.map_err(ImportError::Store)?;
    Ok(Scales {
        price: bars.price_scale,
        volume: bars.volume_scale,
    })
}

/// The largest value of each column, under each scale that a batch had.
struct Extents {
    scales: Scales,
    largest: [[u64; SCALES]; 5],
}

impl Extents {
    fn new(scales: Scales) -> Self {
        Self {
            scales,
            largest: [[0; SCALES]; 5],
        }
    }

    fn see(&mut self, bars: &Bars) {
        let (price, volume) = (bars.price_scale, bars.volume_scale);
        self.scales.price = self.scales.price.max(price);
        self.scales.volume = self.scales.volume.max(volume);
        let columns = [
            (&bars.open, price),
            (&bars.high, price),
            (&bars.low, price),
            (&bars.close, price),
            (&bars.volume, volume),
        ];
        for (largest, (values, scale)) in self.largest.iter_mut().zip(columns) {
            let of_batch = values.iter().map(|value| value.unsigned_abs()).max();
            if let Some(largest) = largest.get_mut(usize::from(scale)) {
                *largest = of_batch.unwrap_or(0).max(*largest);
            }
        }
    }

    /// Whether every value fits under the largest scale.
    fn check(&self) -> Result<(), ImportError> {
        let Scales { price, volume } = self.scales;
        let places = [price, price, price, price, volume];
        for ((largest, column), places) in self.largest.iter().zip(COLUMNS).zip(places) {
            for (value, scale) in largest.iter().zip(0_u8..) {
                let factor = 10_i64.pow(u32::from(places.saturating_sub(scale)));
                let scaled = i64::try_from(*value)
                    .ok()
                    .and_then(|value| value.checked_mul(factor));
                if scaled.is_none() {
                    let whole = value / 10_u64.pow(u32::from(scale));
                    return Err(ImportError::TooFine {
                        column,
                        digits: whole.checked_ilog10().map_or(1, |digits| digits + 1),
                        places,
                    });
                }
            }
        }
        Ok(())
    }
}
