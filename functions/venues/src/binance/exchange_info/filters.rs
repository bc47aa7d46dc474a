//! What an order of a symbol has to keep to: the filters of the REST documentation.

use rust_decimal::Decimal;
use serde::Deserializer;

use crate::json::{self, Context, Field, FieldFault, Read};

/// The filters of one symbol. None: the symbol has no such filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    /// `PRICE_FILTER`.
    pub price: Option<PriceFilter>,
    /// `LOT_SIZE`.
    pub lot_size: Option<SizeFilter>,
    /// `MARKET_LOT_SIZE`, which applies to market orders besides `LOT_SIZE`.
    pub market_lot_size: Option<SizeFilter>,
    /// `NOTIONAL` or `MIN_NOTIONAL`.
    pub notional: Option<Notional>,
    /// `PERCENT_PRICE` or `PERCENT_PRICE_BY_SIDE`.
    pub percent_price: Option<PercentPrice>,
    /// `MAX_NUM_ORDERS`: the most open orders.
    pub max_num_orders: Option<u32>,
    /// `MAX_NUM_ALGO_ORDERS`: the most open stop and take-profit orders.
    pub max_num_algo_orders: Option<u32>,
    /// `MAX_NUM_ICEBERG_ORDERS`: the most open iceberg orders.
    pub max_num_iceberg_orders: Option<u32>,
    /// `MAX_POSITION`: the most of the base asset that an account may hold.
    pub max_position: Option<Decimal>,
    /// `ICEBERG_PARTS`: the most parts of an iceberg order.
    pub iceberg_parts: Option<u32>,
    /// The types of filters that are not read.
    pub others: Vec<String>,
}

/// Bounds of a price. Zero: that bound is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceFilter {
    /// The lowest price.
    pub min_price: Decimal,
    /// The highest price.
    pub max_price: Decimal,
    /// A price is a whole multiple of this.
    pub tick_size: Decimal,
}

/// Bounds of a quantity. Zero: that bound is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeFilter {
    /// The smallest quantity.
    pub min_qty: Decimal,
    /// The largest quantity.
    pub max_qty: Decimal,
    /// A quantity is a whole multiple of this.
    pub step_size: Decimal,
}

/// Bounds of price times quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notional {
    /// The least.
    pub min: Decimal,
    /// Whether the least applies to market orders.
    pub apply_min_to_market: bool,
    /// The most. None: there is no such bound.
    pub max: Option<Decimal>,
    /// Whether the most applies to market orders.
    pub apply_max_to_market: bool,
    /// Over how many minutes a market order's price is averaged. 0: the last price.
    pub avg_price_mins: u32,
}

/// Bounds of a price as multiples of the average price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PercentPrice {
    /// The highest price of a buy order.
    pub bid_multiplier_up: Decimal,
    /// The lowest price of a buy order.
    pub bid_multiplier_down: Decimal,
    /// The highest price of a sell order.
    pub ask_multiplier_up: Decimal,
    /// The lowest price of a sell order.
    pub ask_multiplier_down: Decimal,
    /// Over how many minutes the price is averaged. 0: the last price.
    pub avg_price_mins: u32,
}

impl Filters {
    pub(super) fn of(list: Vec<Filter>) -> Self {
        let mut filters = Self::default();
        for filter in list {
            match filter {
                Filter::Price(price) => filters.price = Some(price),
                Filter::LotSize(size) => filters.lot_size = Some(size),
                Filter::MarketLotSize(size) => filters.market_lot_size = Some(size),
                Filter::Notional(notional) => filters.notional = Some(notional),
                Filter::PercentPrice(percent) => filters.percent_price = Some(percent),
                Filter::MaxNumOrders(count) => filters.max_num_orders = Some(count),
                Filter::MaxNumAlgoOrders(count) => filters.max_num_algo_orders = Some(count),
                Filter::MaxNumIcebergOrders(count) => filters.max_num_iceberg_orders = Some(count),
                Filter::MaxPosition(most) => filters.max_position = Some(most),
                Filter::IcebergParts(count) => filters.iceberg_parts = Some(count),
                Filter::Other(kind) => filters.others.push(kind),
            }
        }
        filters
    }
}

pub(super) enum Filter {
    Price(PriceFilter),
    LotSize(SizeFilter),
    MarketLotSize(SizeFilter),
    Notional(Notional),
    PercentPrice(PercentPrice),
    MaxNumOrders(u32),
    MaxNumAlgoOrders(u32),
    MaxNumIcebergOrders(u32),
    MaxPosition(Decimal),
    IcebergParts(u32),
    Other(String),
}

/// All fields that some filter has; which of them one has, its type says.
const NAMES: [&str; 24] = [
    "filterType",
    "minPrice",
    "maxPrice",
    "tickSize",
    "minQty",
    "maxQty",
    "stepSize",
    "minNotional",
    "maxNotional",
    "applyToMarket",
    "applyMinToMarket",
    "applyMaxToMarket",
    "avgPriceMins",
    "multiplierUp",
    "multiplierDown",
    "bidMultiplierUp",
    "bidMultiplierDown",
    "askMultiplierUp",
    "askMultiplierDown",
    "maxNumOrders",
    "maxNumAlgoOrders",
    "maxNumIcebergOrders",
    "maxPosition",
    "limit",
];

impl<'a> Read<'a> for Filter {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        json::object(source, context, NAMES, filter)
    }
}

fn filter(fields: [Field<'_>; 24]) -> Result<Filter, FieldFault> {
    let [
        kind,
        min_price,
        max_price,
        tick_size,
        min_qty,
        max_qty,
        step_size,
        min_notional,
        max_notional,
        to_market,
        min_to_market,
        max_to_market,
        avg_price_mins,
        up,
        down,
        bid_up,
        bid_down,
        ask_up,
        ask_down,
        num_orders,
        num_algo_orders,
        num_iceberg_orders,
        max_position,
        limit,
    ] = fields;
    let size = || {
        Ok(SizeFilter {
            min_qty: min_qty.text_decimal()?,
            max_qty: max_qty.text_decimal()?,
            step_size: step_size.text_decimal()?,
        })
    };
    let percent = |[bid_up, bid_down, ask_up, ask_down]: [Field<'_>; 4]| {
        Ok(Filter::PercentPrice(PercentPrice {
            bid_multiplier_up: bid_up.text_decimal()?,
            bid_multiplier_down: bid_down.text_decimal()?,
            ask_multiplier_up: ask_up.text_decimal()?,
            ask_multiplier_down: ask_down.text_decimal()?,
            avg_price_mins: avg_price_mins.count()?,
        }))
    };
    Ok(match kind.text()?.as_ref() {
        "PRICE_FILTER" => Filter::Price(PriceFilter {
            min_price: min_price.text_decimal()?,
            max_price: max_price.text_decimal()?,
            tick_size: tick_size.text_decimal()?,
        }),
        "LOT_SIZE" => Filter::LotSize(size()?),
        "MARKET_LOT_SIZE" => Filter::MarketLotSize(size()?),
        "MIN_NOTIONAL" => Filter::Notional(Notional {
            min: min_notional.text_decimal()?,
            apply_min_to_market: to_market.boolean()?,
            max: None,
            apply_max_to_market: false,
            avg_price_mins: avg_price_mins.count()?,
        }),
        "NOTIONAL" => Filter::Notional(Notional {
            min: min_notional.text_decimal()?,
            apply_min_to_market: min_to_market.boolean()?,
            max: Some(max_notional.text_decimal()?),
            apply_max_to_market: max_to_market.boolean()?,
            avg_price_mins: avg_price_mins.count()?,
        }),
        "PERCENT_PRICE" => percent([up, down, up, down])?,
        "PERCENT_PRICE_BY_SIDE" => percent([bid_up, bid_down, ask_up, ask_down])?,
        "MAX_NUM_ORDERS" => Filter::MaxNumOrders(num_orders.count()?),
        "MAX_NUM_ALGO_ORDERS" => Filter::MaxNumAlgoOrders(num_algo_orders.count()?),
        "MAX_NUM_ICEBERG_ORDERS" => Filter::MaxNumIcebergOrders(num_iceberg_orders.count()?),
        "MAX_POSITION" => Filter::MaxPosition(max_position.text_decimal()?),
        "ICEBERG_PARTS" => Filter::IcebergParts(limit.count()?),
        other => Filter::Other(other.to_owned()),
    })
}
