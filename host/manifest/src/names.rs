//! How things are named, and what a misspelt name was meant to be.

use crate::problem::quoted;

/// The longest name of a component, a strategy or a variable, in characters.
pub(crate) const MAX_NAME_CHARS: usize = 64;
/// Below this Jaro-Winkler similarity a name is no longer taken for a misspelling of another.
const LEAST_SIMILARITY: f64 = 0.8;

/// The known name most like a misspelt one.
pub(crate) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // A misspelling is about as long as what was meant, so nothing longer need be compared.
    if name.len() > 2 * MAX_NAME_CHARS {
        return None;
    }
    let lower = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&lower, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(similarity, _)| *similarity >= LEAST_SIMILARITY)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The hint for a name that is not known: what was meant, or else all that there is.
pub(crate) fn did_you_mean<'k>(
    name: &str,
    known: impl IntoIterator<Item = &'k str> + Clone,
) -> Option<String> {
    if let Some(candidate) = nearest(name, known.clone()) {
        return Some(format!("did you mean `{candidate}`?"));
    }
    let all: Vec<String> = known.into_iter().map(|name| format!("`{name}`")).collect();
    if all.is_empty() {
        None
    } else {
        Some(format!("known here: {}", all.join(", ")))
    }
}

/// A component's id, as Spin has it (`KebabId`): words joined by `-`, the first beginning with a letter; a word is
/// all lower case or all upper case. The names of strategies follow the same rule.
pub(crate) fn check_kebab_id(id: &str) -> Result<(), String> {
    check_id(id, '-', '_', false)
}

/// A variable's name, as Spin has it (`LowerSnakeId`): lower-case words joined by `_`.
pub(crate) fn check_lower_snake_id(id: &str) -> Result<(), String> {
    check_id(id, '_', '-', true)
}

fn check_id(id: &str, delimiter: char, wrong_delimiter: char, lower: bool) -> Result<(), String> {
    if id.is_empty() {
        return Err("a name must not be empty".to_owned());
    }
    if id.chars().count() > MAX_NAME_CHARS {
        return Err(format!(
            "{} is longer than {MAX_NAME_CHARS} characters",
            quoted(id)
        ));
    }
    if id.contains(wrong_delimiter) {
        return Err(format!(
            "{}: words are joined by `{delimiter}`, not `{wrong_delimiter}`",
            quoted(id)
        ));
    }
    for (index, word) in id.split(delimiter).enumerate() {
        let Some(first) = word.chars().next() else {
            return Err(format!("{} has an empty word", quoted(id)));
        };
        if !(first.is_ascii_alphabetic() || (index > 0 && first.is_ascii_digit())) {
            return Err(format!("{} must begin with a letter", quoted(id)));
        }
        if !word.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(format!(
                "{} may hold only ASCII letters, digits and `{delimiter}`",
                quoted(id)
            ));
        }
        let has_upper = word.chars().any(|c| c.is_ascii_uppercase());
        let has_lower = word.chars().any(|c| c.is_ascii_lowercase());
        if has_upper && (lower || has_lower) {
            return Err(format!("{} must be lower case", quoted(id)));
        }
    }
    Ok(())
}
