//! Bytes as a script of mutations: so that random bytes reach what lies behind the JSON's outermost bracket.

/// The most mutations of one script.
const MAX_MUTATIONS: usize = 8;
/// What JSON has that is awkward to read.
const TOKENS: [&str; 16] = [
    "{}",
    "[]",
    "null",
    "true",
    "\"\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "-0",
    "1e400",
    "1e-28",
    "99999999999999999999999999999",
    "9223372036854775808",
    ",",
    ":",
    "\"",
    "\\",
];

/// The texts of a corpus.
pub fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = format!(
        "{}/tests/__fuzz__/{name}/corpus",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect(name)
        .map(|entry| entry.expect(name).path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).expect(name))
        .collect()
}

/// One of `texts`, which the first byte of `script` picks, after the mutations that each four bytes more ask for.
pub fn mutated(texts: &[Vec<u8>], script: &[u8]) -> Vec<u8> {
    let Some((pick, script)) = script.split_first() else {
        return Vec::new();
    };
    let mut text = texts[usize::from(*pick) % texts.len()].clone();
    for mutation in script.chunks_exact(4).take(MAX_MUTATIONS) {
        let [high, low, what, with] = [mutation[0], mutation[1], mutation[2], mutation[3]];
        let start = usize::from(u16::from_be_bytes([high, low])) % (text.len() + 1);
        let end = (start + usize::from(with % 16)).min(text.len());
        match what % 6 {
            0 => text.truncate(start),
            1 => drop(text.drain(start..end)),
            2 => text.insert(start, with),
            3 => drop(text.splice(start..end, TOKENS[usize::from(with) % TOKENS.len()].bytes())),
            4 => {
                let copied = text[start..end].to_vec();
                text.splice(start..start, copied);
            }
            _ => {
                if let Some(byte) = text.get_mut(start) {
                    *byte = with;
                }
            }
        }
    }
    text
}
