//! Components that Rust has no words for, written by hand.

/// A component of `world`, of a module in the text format.
fn component(world: &str, module: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let wit = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let (package, _) = resolve.push_dir(wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    wit_component::ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .encode()
        .unwrap()
}

/// A stage whose `run` does what `body` says.
fn stage(world: &str, imports: &str, body: &str) -> Vec<u8> {
    let module = format!(
        r#"(module
            {imports}
            (memory (export "memory") 1)
            (table $t 1 funcref)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
            (func (export "bulkhead:pipeline/stage@0.1.0#describe") (result i32) unreachable)
            (func (export "bulkhead:pipeline/stage@0.1.0#run")
                (param i32 i32 i32 i64 i32 i32 i32 i32 i32 i32 i32) (result i32)
                (local $calls i32) (local $waiting i32)
                {body}))"#
    );
    component(world, &module)
}

/// A stage whose `run` does nothing but `table.grow`.
pub fn table_grower() -> Vec<u8> {
    stage(
        "canary",
        "",
        "(loop $again
            (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))
        unreachable",
    )
}

/// A stage that asks for the catalogue of strategies `calls` times before it waits for any answer. It traps unless so many
/// as `expected` are not answered at once; else it computes without end.
pub fn many_catalogues_at_once(calls: usize, expected: usize) -> Vec<u8> {
    // A call's low four bits are 2 when it has been answered.
    let body = format!(
        "(loop $again
            (if (i32.ne (i32.and (call $catalogue (i32.const 4096)) (i32.const 15)) (i32.const 2))
                (then (local.set $waiting (i32.add (local.get $waiting) (i32.const 1)))))
            (local.set $calls (i32.add (local.get $calls) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $calls) (i32.const {calls}))))
        (if (i32.ne (local.get $waiting) (i32.const {expected})) (then unreachable))
        (loop $for_ever (br $for_ever))
        unreachable"
    );
    let import = r#"(import "bulkhead:pipeline/strategies@0.1.0" "[async-lower]catalogue"
        (func $catalogue (param i32) (result i32)))"#;
    stage("generate-trading-signal", import, &body)
}

/// Where the host puts what it passes to a strategy, and where a strategy has room of its own.
const ARGUMENTS: u32 = 1 << 16;
const ROOM: u32 = 2 << 16;

/// A strategy by the bodies of its two functions, each of which leaves the address of its answer; and how many pages of memory
/// it begins with.
pub struct Strategy {
    pub describe: String,
    pub evaluate: String,
    pub pages: u32,
}

impl Strategy {
    /// One that describes itself, and holds.
    pub fn well_behaved() -> Self {
        let hold = Answer {
            signals: 1,
            metadata_bytes: 0,
        };
        Self {
            describe: description(0),
            evaluate: hold.body(),
            pages: 4,
        }
    }

    pub fn component(&self) -> Vec<u8> {
        let Self {
            describe,
            evaluate,
            pages,
        } = self;
        let module = format!(
            r#"(module
                (memory (export "memory") {pages})
                (data (i32.const 0) "hostile 0.1.0 momentum")
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const {ARGUMENTS})
                (func (export "bulkhead:pipeline/strategy@0.1.0#describe") (result i32) {describe})
                (func (export "bulkhead:pipeline/strategy@0.1.0#evaluate") (param i32) (result i32) {evaluate}))"#
        );
        component("strategy-component", &module)
    }
}

/// Stores 32-bit words, one behind the other from `address`.
fn words(address: u32, words: &[u32]) -> String {
    (0_u32..)
        .zip(words)
        .map(|(index, word)| {
            format!(
                "(i32.store (i32.const {}) (i32.const {word}))\n",
                address + 4 * index
            )
        })
        .collect()
}

/// The body of `describe` with a parameters schema of so many bytes.
pub fn description(schema_bytes: u32) -> String {
    let info = [0, 7, 8, 5, 14, 8, 1, ROOM, schema_bytes];
    format!("{} (i32.const 1024)", words(1024, &info))
}

/// What a strategy answers: so many signals, all zero but for the first, which holds, with so many bytes of metadata.
pub struct Answer {
    pub signals: u32,
    pub metadata_bytes: u32,
}

impl Answer {
    const SIGNAL: u32 = ROOM;
    const METADATA: u32 = 3 << 16;

    /// The body of `evaluate`; the metadata are what stands at their place.
    pub fn body(&self) -> String {
        let result = words(2048, &[0, Self::SIGNAL, self.signals]);
        let hold = words(Self::SIGNAL, &[2]);
        let texts = words(
            Self::SIGNAL + 24,
            &[0, 0, Self::METADATA, self.metadata_bytes],
        );
        format!("{result} {hold} {texts} (i32.const 2048)")
    }

    /// The same with metadata that are one letter, again and again.
    pub fn filled(&self) -> String {
        format!(
            "(memory.fill (i32.const {}) (i32.const 120) (i32.const {})) {}",
            Self::METADATA,
            self.metadata_bytes,
            self.body()
        )
    }

    /// The same with metadata that are lists in lists.
    pub fn nested(levels: u32) -> String {
        let place = Self::METADATA;
        let answer = Self {
            signals: 1,
            metadata_bytes: 2 * levels,
        };
        format!(
            "(memory.fill (i32.const {place}) (i32.const 91) (i32.const {levels}))
            (memory.fill (i32.const {}) (i32.const 93) (i32.const {levels}))
            {}",
            place + levels,
            answer.body()
        )
    }
}
