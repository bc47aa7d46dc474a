//! One fuzz target, the same in every crate but this one, whose targets give results.

/// A test that tries the function of that name of the module around on random bytes, and on a text of its corpus after the
/// mutations that the bytes ask for. `ITERATIONS`, `MAX_LEN` and `mutator` are those of the file.
macro_rules! target {
    ($name:ident) => {
        #[test]
        fn $name() {
            let texts = mutator::corpus(stringify!($name));
            bolero::check!(name = stringify!($name))
                .with_iterations(ITERATIONS)
                .with_max_len(MAX_LEN)
                .for_each(|bytes: &[u8]| {
                    super::$name(bytes);
                    super::$name(&mutator::mutated(&texts, bytes));
                });
        }
    };
}
