use chrono::NaiveDate;
use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, CronComponent};

use super::CronError;

/// Longest expression, in bytes: more than a list of all seconds and all minutes takes.
pub const MAX_EXPRESSION_BYTES: usize = 512;

const FIELDS: [(&str, &str); 6] = [
    ("second", "0-59 and * , - /"),
    ("minute", "0-59 and * , - /"),
    ("hour", "0-23 and * , - /"),
    ("day of month", "1-31 and * , - / ? L W"),
    ("month", "1-12 or JAN-DEC and * , - /"),
    ("day of week", "0-7 or SUN-SAT and * , - / ? # L"),
];

const HOURS_OF_A_DAY: usize = 24;

/// A parsed expression.
#[derive(Debug, Clone)]
pub(super) struct Expression {
    pub cron: Cron,
    /// Whether it fires in every hour of the days it fires on, and in each more than once.
    pub is_interval: bool,
}

struct Field<'a> {
    text: &'a str,
    /// Counted in characters from 1.
    column: usize,
}

pub(super) fn parse(expression: &str) -> Result<Expression, CronError> {
    if expression.len() > MAX_EXPRESSION_BYTES {
        return Err(CronError::TooLong {
            bytes: expression.len(),
            max: MAX_EXPRESSION_BYTES,
        });
    }
    let fields = split(expression, char::is_whitespace, 1);
    if fields.len() != FIELDS.len() {
        let hint = match fields.len() {
            5 => format!("; with a second in front: `0 {}`", expression.trim()),
            _ => String::new(),
        };
        return Err(CronError::FieldCount {
            expression: expression.to_owned(),
            found: fields.len(),
            hint,
        });
    }
    for (index, field) in fields.iter().enumerate() {
        check_field(expression, index, field)?;
    }
    let cron = parser()
        .parse(expression)
        .map_err(|cause| CronError::Expression {
            expression: expression.to_owned(),
            cause,
        })?;
    if !fires_ever(&cron) {
        return Err(CronError::NeverFires {
            expression: expression.to_owned(),
        });
    }
    let is_interval = is_interval(&cron);
    Ok(Expression { cron, is_interval })
}

/// Told by the sets of seconds, minutes and hours, since one set has many spellings: `*`, `0-23`, `*/1`.
fn is_interval(cron: &Cron) -> bool {
    let values = |component: &CronComponent| component.values().len();
    let pattern = &cron.pattern;
    values(&pattern.hours) == HOURS_OF_A_DAY
        && values(&pattern.seconds) * values(&pattern.minutes) > 1
}

fn parser() -> CronParser {
    CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Disallowed)
        .build()
}

/// The parser does not say where it failed. Each field, then each item of its list, is tried among fields that are
/// right, so that the place can be named.
fn check_field(expression: &str, index: usize, field: &Field<'_>) -> Result<(), CronError> {
    let Err(whole) = try_alone(index, field.text) else {
        return Ok(());
    };
    let items = split(field.text, |character| character == ',', field.column);
    let culprit = items
        .into_iter()
        .find_map(|item| try_alone(index, item.text).err().map(|cause| (item, cause)));
    let (place, cause) = match culprit {
        Some((item, cause)) => (item, cause),
        None => (
            Field {
                text: field.text,
                column: field.column,
            },
            whole,
        ),
    };
    let (name, allowed) = FIELDS[index];
    Err(CronError::Field {
        expression: expression.to_owned(),
        column: place.column,
        text: place.text.to_owned(),
        field: name,
        allowed,
        cause,
    })
}

fn try_alone(index: usize, text: &str) -> Result<(), croner::errors::CronError> {
    if !text.is_ascii() || text.contains('@') {
        return Err(croner::errors::CronError::IllegalCharacters(
            text.to_owned(),
        ));
    }
    let mut alone = ["*"; FIELDS.len()];
    alone[index] = text;
    parser().parse(&alone.join(" ")).map(|_| ())
}

fn fires_ever(cron: &Cron) -> bool {
    NaiveDate::from_ymd_opt(2000, 1, 1)
        .and_then(|day| day.and_hms_opt(0, 0, 0))
        .is_some_and(|start| cron.find_next_occurrence(&start, true).is_ok())
}

/// The parts between separators, none of them empty, with their columns.
fn split(text: &str, is_separator: impl Fn(char) -> bool, first_column: usize) -> Vec<Field<'_>> {
    let mut fields = Vec::new();
    let mut start: Option<(usize, usize)> = None;
    for (nth, (at, character)) in text.char_indices().enumerate() {
        match (is_separator(character), start) {
            (false, None) => start = Some((at, first_column + nth)),
            (true, Some((from, column))) => {
                fields.push(Field {
                    text: &text[from..at],
                    column,
                });
                start = None;
            }
            _ => {}
        }
    }
    if let Some((from, column)) = start {
        fields.push(Field {
            text: &text[from..],
            column,
        });
    }
    fields
}
