//! `cron` of a schedule: when it fires.

use chrono::DateTime;
use croner::parser::{CronParser, Seconds, Year};

use crate::problem::{Findings, quoted};
use crate::section::Located;

/// The fields of a cron expression: second, minute, hour, day of month, month, day of week.
const CRON_FIELDS: usize = 6;
const CRON_HINT: &str = "second, minute, hour, day of month, month, day of week";
/// The longest cron expression, in bytes: more than a list of all seconds and all minutes takes. The scheduler's own
/// bound.
const MAX_EXPRESSION_BYTES: usize = 512;

/// Notes what is wrong with an expression. None: it is no schedule.
pub(crate) fn check_cron_expression(
    found: &mut Findings<'_>,
    expression: &Located<&str>,
) -> Option<String> {
    let text = expression.value;
    match problem_of(text) {
        None => Some(text.to_owned()),
        Some((message, hint)) => {
            found.add_with_hint(&expression.span, message, hint);
            None
        }
    }
}

/// What is wrong with an expression, and what would put it right.
fn problem_of(text: &str) -> Option<(String, String)> {
    if text.len() > MAX_EXPRESSION_BYTES {
        let message = format!(
            "the cron expression {} is longer than {MAX_EXPRESSION_BYTES} bytes",
            quoted(text)
        );
        return Some((
            message,
            "shorten its lists with `-` and `/`, or write several expressions".to_owned(),
        ));
    }
    let fields = text.split_whitespace().count();
    if fields != CRON_FIELDS {
        let message = format!(
            "the cron expression {} must have {CRON_FIELDS} fields, not {fields}",
            quoted(text)
        );
        let hint = if fields == CRON_FIELDS - 1 {
            format!("seconds come first: {}", quoted(&format!("0 {text}")))
        } else {
            CRON_HINT.to_owned()
        };
        return Some((message, hint));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Disallowed)
        .build();
    let why = match parser.parse(text) {
        Err(error) => format!(
            "cannot be read: {}",
            quoted(error.to_string().trim_end_matches('.'))
        ),
        // Whether there is any such day does not depend on where the search begins.
        Ok(cron) => match cron.find_next_occurrence(&DateTime::UNIX_EPOCH, true) {
            Ok(_) => return None,
            Err(error) => format!(
                "never fires: {}",
                quoted(error.to_string().trim_end_matches('.'))
            ),
        },
    };
    let message = format!("the cron expression {} {why}", quoted(text));
    Some((message, CRON_HINT.to_owned()))
}
