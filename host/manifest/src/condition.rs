//! `when` of an egress rule: the values of variables with which the rule is on.
//!
//! Accepted form: a table from names of declared variables to texts, compared letter by letter. All of them must hold. A rule
//! that is off is checked, and permits nothing.

use serde::Serialize;

use crate::problem::{Findings, quoted};
use crate::section::{Section, text_of};
use crate::variable::{Values, Variables};

/// One variable that must have one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// The variable's name.
    pub variable: String,
    /// The value.
    pub is: String,
}

/// Reads `when` of a rule. None: it is wrong, which is noted.
pub(crate) fn read_when(
    found: &mut Findings<'_>,
    rule: &Section<'_>,
    variables: &Variables,
) -> Option<Vec<Condition>> {
    if rule.get("when").is_none() {
        return Some(Vec::new());
    }
    let section = rule.section(found, "when", "`when`")?;
    let mut conditions = Vec::new();
    let mut is_complete = true;
    for (name, value) in section.entries() {
        let what = format!("the value of {}", quoted(name.value));
        let text = text_of(found, value, &what);
        if !variables.is_declared(name.value) {
            let hint = variables.hint_for(name.value);
            let message = format!("the variable {} is not declared", quoted(name.value));
            found.add_with_hint(&name.span, message, hint);
            is_complete = false;
        } else if variables.is_secret(name.value) {
            let message = format!(
                "the variable {} is secret, and `when` would show its value",
                quoted(name.value)
            );
            found.add_with_hint(&name.span, message, "name another variable");
            is_complete = false;
        }
        match text {
            Some(text) => conditions.push(Condition {
                variable: name.value.to_owned(),
                is: text.value.to_owned(),
            }),
            None => is_complete = false,
        }
    }
    if is_complete && conditions.is_empty() {
        let hint = "name a variable and its value, for example `when = { venue = \"alpaca\" }`";
        found.add_with_hint(&section.span, "`when` holds no condition", hint);
        return None;
    }
    is_complete.then_some(conditions)
}

/// Whether all of the conditions hold. A variable without a value, which is noted where it is declared, has none of the
/// values.
pub(crate) fn is_on(conditions: &[Condition], values: &Values) -> bool {
    conditions.iter().all(|condition| {
        values
            .get(&condition.variable)
            .is_some_and(|(value, _)| value == condition.is)
    })
}
