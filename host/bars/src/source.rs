use bulkhead_kernel::bar_row::BarRow;
use bulkhead_store::{Bars, Series};

use crate::batch::{self, Scales};
use crate::import::{BadRows, ImportError, ImportOptions, Quarantine};
use crate::{BATCH_BARS, BarReader, Checks, Reason, RowError, SourceRow};

/// The good rows of a file, in columns.
pub(crate) struct Source<'a, R: ?Sized> {
    reader: &'a mut R,
    checks: Checks,
    bad_rows: BadRows,
    scales: Scales,
    rows: Vec<SourceRow>,
    previous: Option<BarRow>,
    /// Rows that were read.
    pub rows_read: u64,
    /// Values of good rows that were rounded.
    pub rounded: u64,
    /// Rows that were left out.
    pub quarantine: Quarantine,
}

impl<'a, R: BarReader + ?Sized> Source<'a, R> {
    /// The rows of a reader, as bars of a series, under scales that are not smaller than those given.
    pub fn new(
        reader: &'a mut R,
        series: &Series,
        options: &ImportOptions,
        scales: Scales,
    ) -> Self {
        Self {
            reader,
            checks: Checks {
                max_jump: options.max_jump,
                ..Checks::of(series, options.now_ms)
            },
            bad_rows: options.bad_rows,
            scales,
            rows: Vec::new(),
            previous: None,
            rows_read: 0,
            rounded: 0,
            quarantine: Quarantine::default(),
        }
    }

    /// The next bars. None: there are no more.
    pub fn next(&mut self) -> Result<Option<Bars>, ImportError> {
        loop {
            self.reader.read(&mut self.rows)?;
            if self.rows.is_empty() {
                return Ok(None);
            }
            self.rows_read += self.rows.len() as u64;
            let bars = self.good_rows()?;
            if !bars.is_empty() {
                return Ok(Some(bars));
            }
        }
    }

    fn good_rows(&mut self) -> Result<Bars, RowError> {
        let mut bars = batch::empty(self.scales);
        for SourceRow {
            place,
            row,
            rounded,
        } in self.rows.drain(..)
        {
            let good = row.map_err(Reason::from).and_then(|row| {
                self.checks.check(&row, self.previous.as_ref())?;
                batch::push(&mut bars, &row)?;
                Ok(row)
            });
            match (good, self.bad_rows) {
                (Ok(row), _) => {
                    self.previous = Some(row);
                    self.rounded += u64::from(rounded);
                }
                (Err(reason), BadRows::Refuse) => return Err(RowError { place, reason }),
                (Err(reason), BadRows::Quarantine) => {
                    self.quarantine.add(RowError { place, reason });
                }
            }
        }
        debug_assert!(bars.len() <= BATCH_BARS);
        Ok(bars)
    }
}
