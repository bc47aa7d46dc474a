use bulkhead_kernel::bar_row::BarRow;
use bulkhead_kernel::scaled::Scaled;
use bulkhead_store::Bars;

use crate::{BATCH_BARS, Reason};

/// Rows on their way into columns, under the smallest scales that hold them all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Scales {
    pub price: u8,
    pub volume: u8,
}

pub(crate) fn empty(scales: Scales) -> Bars {
    let column = || Vec::with_capacity(BATCH_BARS);
    Bars {
        price_scale: scales.price,
        volume_scale: scales.volume,
        open_time_ms: column(),
        open: column(),
        high: column(),
        low: column(),
        close: column(),
        volume: column(),
    }
}

/// Puts a row behind the bars, raising their scales where it needs that. On an error, [`Reason::TooFine`], the bars are as
/// they were.
pub(crate) fn push(bars: &mut Bars, row: &BarRow) -> Result<(), Reason> {
    let prices = [row.open, row.high, row.low, row.close];
    let price_scale = prices
        .iter()
        .fold(bars.price_scale, |scale, price| scale.max(price.scale()));
    let volume_scale = bars.volume_scale.max(row.volume.scale());
    let at_scale = |place, value: Scaled, places| {
        value
            .at_scale(places)
            .ok_or_else(|| too_fine(place, value, places))
    };
    let mut values = [0; 4];
    for ((value, price), place) in values.iter_mut().zip(prices).zip(1..) {
        *value = at_scale(place, price, price_scale)?;
    }
    let volume = at_scale(VOLUME, row.volume, volume_scale)?;
    if price_scale > bars.price_scale || volume_scale > bars.volume_scale {
        raise(bars, price_scale, volume_scale).map_err(|group| match group {
            Group::Volume => too_fine(VOLUME, row.volume, volume_scale),
            Group::Prices => {
                let asks = |(_, price): &(usize, Scaled)| price.scale() == price_scale;
                let (place, price) = (1..).zip(prices).find(asks).unwrap_or((1, row.open));
                too_fine(place, price, price_scale)
            }
        })?;
    }
    let [open, high, low, close] = values;
    bars.open_time_ms.push(row.open_time_ms);
    bars.open.push(open);
    bars.high.push(high);
    bars.low.push(low);
    bars.close.push(close);
    bars.volume.push(volume);
    Ok(())
}

/// The place of the volume in a row, from 0.
const VOLUME: usize = 5;

fn too_fine(place: usize, value: Scaled, places: u8) -> Reason {
    Reason::TooFine {
        place,
        value: value.to_decimal().to_string(),
        places,
    }
}

/// The columns that share a scale.
enum Group {
    Prices,
    Volume,
}

/// Multiplies all values. On an error some value of the group does not fit the larger scale, and nothing was changed.
fn raise(bars: &mut Bars, price_scale: u8, volume_scale: u8) -> Result<(), Group> {
    let times = |column: &[i64], from: u8, to: u8| {
        let factor = 10_i64.checked_pow(u32::from(to - from))?;
        column
            .iter()
            .map(|value| value.checked_mul(factor))
            .collect::<Option<Vec<i64>>>()
    };
    let price = |column: &[i64]| times(column, bars.price_scale, price_scale).ok_or(Group::Prices);
    let (open, high) = (price(&bars.open)?, price(&bars.high)?);
    let (low, close) = (price(&bars.low)?, price(&bars.close)?);
    bars.volume = times(&bars.volume, bars.volume_scale, volume_scale).ok_or(Group::Volume)?;
    (bars.open, bars.high, bars.low, bars.close) = (open, high, low, close);
    (bars.price_scale, bars.volume_scale) = (price_scale, volume_scale);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(lines: &[&str]) -> (Bars, Option<Reason>) {
        let mut bars = empty(Scales::default());
        for line in lines {
            let row = BarRow::parse(line.split(',').map(str::as_bytes)).unwrap();
            if let Err(error) = push(&mut bars, &row) {
                return (bars, Some(error));
            }
        }
        (bars, None)
    }

    #[test]
    fn columns_take_the_smallest_scale_that_is_exact() {
        let (bars, error) = pushed(&["0,1,2,1,1.50,7", "1,1.25,2,1,1.5,7.125", "2,3,3,3,3,0"]);
        assert_eq!(error, None);
        assert_eq!((bars.price_scale, bars.volume_scale), (2, 3));
        assert_eq!(bars.open, [100, 125, 300]);
        assert_eq!(bars.close, [150, 150, 300]);
        assert_eq!(bars.volume, [7_000, 7_125, 0]);
    }

    #[test]
    fn a_row_that_does_not_fit_leaves_the_bars_as_they_were() {
        let wide = "0,9e,9e,9e,9e,9e".replace("9e", "9000000000000000000");
        for (lines, expect) in [
            ([wide.as_str(), "1,1,1,0.1,1,1"], "column 4 (`low`): 0.1"),
            ([wide.as_str(), "1,1,1,1,1,0.1"], "column 6 (`volume`): 0.1"),
            (
                ["0,1,1,0.1,1,1", wide.as_str()],
                "column 2 (`open`): 9000000000000000000",
            ),
        ] {
            let (bars, error) = pushed(&lines);
            let error = error.unwrap().to_string();
            assert!(error.starts_with(expect), "{error}");
            assert_eq!(bars, pushed(&lines[..1]).0);
        }
    }
}
