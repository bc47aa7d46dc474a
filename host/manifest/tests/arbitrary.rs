//! Whatever the text is, reading it ends with an application or with problems that lie within it.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use bulkhead_manifest::App;
use proptest::prelude::*;

static PROJECT: LazyLock<String> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spin.toml");
    std::fs::read_to_string(path).unwrap()
});

fn check(text: &str) {
    if let Err(problems) = App::check("spin.toml", text, &BTreeMap::new()) {
        let lines = text.split('\n').count();
        assert!(!problems.as_slice().is_empty());
        for problem in problems.as_slice() {
            assert!((1..=lines).contains(&problem.line), "{problem}");
            let line = text.split('\n').nth(problem.line - 1).unwrap();
            assert!(
                (1..=line.chars().count() + 1).contains(&problem.column),
                "{problem}"
            );
            assert!(!problem.message.contains('\n'), "{problem}");
        }
        assert!(!problems.to_string().is_empty());
    }
}

fn char_start(text: &str, at: prop::sample::Index) -> usize {
    let starts: Vec<usize> = text.char_indices().map(|(start, _)| start).collect();
    *at.get(&starts)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_toml_like_text_is_read_or_refused(text in r#"([a-z_.\-"\[\]{}=, 0-9\n'é*/:$]{0,12}(\n|=|\[\[trigger.http\]\]\n)){0,30}"#) {
        check(&text);
    }

    #[test]
    fn a_mutated_manifest_is_read_or_refused(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..40, ".{0,8}"), 1..6),
    ) {
        let mut text = PROJECT.clone();
        for (at, length, inserted) in edits {
            let start = char_start(&text, at);
            let end = text[start..].char_indices().nth(length).map_or(text.len(), |(offset, _)| start + offset);
            text.replace_range(start..end, &inserted);
        }
        check(&text);
    }

    #[test]
    fn a_manifest_with_any_value_in_place_of_another_is_read_or_refused(
        at in any::<prop::sample::Index>(),
        value in prop_oneof![
            Just("1".to_owned()), Just("-1".to_owned()), Just("[]".to_owned()), Just("{}".to_owned()),
            Just("1979-05-27".to_owned()), Just("nan".to_owned()), Just("[[[]]]".to_owned()), Just("{ a.b.c = 1 }".to_owned()),
            "\"[^\"\\\\\\p{C}]{0,20}\"",
        ],
    ) {
        let mut lines: Vec<String> = PROJECT.lines().map(str::to_owned).collect();
        let assigned: Vec<usize> = (0..lines.len()).filter(|index| lines[*index].contains(" = ")).collect();
        let index = *at.get(&assigned);
        let (key, _) = lines[index].split_once(" = ").unwrap();
        lines[index] = format!("{key} = {value}");
        check(&lines.join("\n"));
    }
}
