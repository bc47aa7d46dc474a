//! Components that Rust has no words for, written by hand.

use std::path::Path;

use wit_component::StringEncoding;
use wit_parser::{PackageId, Resolve};

/// A component of a world of the contract, of a module in the text format.
fn component(world: &str, module: &str) -> Vec<u8> {
    let (resolve, package) = contract();
    encode(module, &resolve, package, world)
}

/// The contract, and its package.
fn contract() -> (Resolve, PackageId) {
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let (package, _) = resolve.push_dir(wit).unwrap();
    (resolve, package)
}

fn encode(module: &str, resolve: &Resolve, package: PackageId, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    wit_component::embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8)
        .unwrap();
    wit_component::ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .encode()
        .unwrap()
}

/// From here on a stage of these has what the host passes to it.
const HEAP: u32 = 1 << 14;

/// A stage whose `run` does what `body` says.
fn stage(world: &str, imports: &str, body: &str) -> Vec<u8> {
    let module = format!(
        r#"(module
            {imports}
            (memory (export "memory") 4)
            (table $t 1 funcref)
            (global $free (mut i32) (i32.const {HEAP}))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $place i32)
                (local.set $place (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
                (global.set $free (i32.add (local.get $place) (local.get 3)))
                (local.get $place))
            (func (export "bulkhead:pipeline/stage@0.1.0#describe") (result i32) unreachable)
            (func (export "bulkhead:pipeline/stage@0.1.0#run")
                (param i32 i32 i32 i64 i32 i32 i32 i32 i32 i32 i32) (result i32)
                (local $calls i32) (local $waiting i32)
                {body}))"#
    );
    component(world, &module)
}

/// A stage whose `run` does nothing but `table.grow` when its input is `{}`, and else answers `{"echo":7}` if it finds its
/// table as it was in the beginning.
pub fn table_grower() -> Vec<u8> {
    const ECHO: &str = r#"(data (i32.const 64) "{\"echo\":7}")"#;
    let answer = words(256, &[0, 0, 0, 0, 0, 64, 10]);
    let body = format!(
        "(if (i32.ne (local.get 10) (i32.const 2)) (then
            (if (i32.ne (table.size $t) (i32.const 1)) (then unreachable))
            {answer}
            (return (i32.const 256))))
        (loop $again
            (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))
        unreachable"
    );
    stage("canary", ECHO, &body)
}

/// Where a stage that makes one call has its result, and the cases of its own errors.
const RESULT: u32 = 2048;
const CASES: u32 = 64;

/// The rest of a body that has left the result of its one call at [`RESULT`]. It answers the report that is there (or an
/// empty one at `success`); the error of the invoked stage, which is the case `failed`, as its own; and the text of any
/// other error in the case that stands for it at [`CASES`].
fn answer_of_call(success: u32, failed: u32) -> String {
    let error = RESULT + 4;
    format!(
        "(if (i32.eqz (i32.load8_u (i32.const {RESULT}))) (then (return (i32.const {success}))))
        (if (i32.eq (i32.load8_u (i32.const {error})) (i32.const {failed})) (then
            (i32.store8 (i32.const {error}) (i32.const 1))
            (return (i32.const {error}))))
        (i32.store8 (i32.const {error})
            (i32.load8_u offset={CASES} (i32.load8_u (i32.const {error}))))
        (i32.const {RESULT})"
    )
}

/// A stage that invokes the stage `name` with its own invocation, and answers its report. Its errors: `failed` as it is,
/// `unknown-stage` as `invalid-input`, `not-fake` as `denied`, `trapped` as `internal`.
pub fn invoking(name: &str) -> Vec<u8> {
    let imports = format!(
        r#"(import "bulkhead:pipeline/pipeline@0.1.0" "invoke" (func $invoke
            (param i32 i32 i32 i32 i32 i64 i32 i32 i32 i32 i32 i32 i32 i32)))
        (data (i32.const {CASES}) "\00\01\05\04\05")
        (data (i32.const 128) "{name}")"#
    );
    let invocation: String = (0..11)
        .map(|index| format!("(local.get {index})"))
        .collect();
    let body = format!(
        "(call $invoke (i32.const 128) (i32.const {}) {invocation} (i32.const {RESULT})) {}",
        name.len(),
        answer_of_call(RESULT, 2)
    );
    stage("canary", &imports, &body)
}

/// A stage that asks the strategy `name` about a view without bars, and answers an empty report. Its errors: `failed` as it
/// is, `unknown-strategy` as `invalid-input`, `trapped` as `internal`.
pub fn asking(name: &str) -> Vec<u8> {
    /// Where nothing is written: zeros are an empty report.
    const EMPTY: u32 = 3072;
    let imports = format!(
        r#"(import "bulkhead:pipeline/strategies@0.1.0" "evaluate" (func $evaluate (param i32 i32)))
        (data (i32.const {CASES}) "\00\05\04\05")
        (data (i32.const 128) "{name}")"#
    );
    let length = u32::try_from(name.len()).unwrap();
    let body = format!(
        "{} (call $evaluate (i32.const 4096) (i32.const {RESULT})) {}",
        words(4096, &[128, length]),
        answer_of_call(EMPTY, 1)
    );
    stage("generate-trading-signal", &imports, &body)
}

/// What is known here of the interfaces of WASI that no world of the contract imports.
const FOREIGN: [&str; 5] = [
    "package wasi:cli@0.2.6;
    interface environment { get-environment: func() -> list<tuple<string, string>>; }",
    "package wasi:clocks@0.2.6;
    interface monotonic-clock { now: func() -> u64; }",
    "package wasi:filesystem@0.2.6;
    interface types { resource descriptor; }
    interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }",
    "package wasi:random@0.2.6;
    interface random { get-random-u64: func() -> u64; }
    interface insecure-seed { insecure-seed: func() -> tuple<u64, u64>; }",
    "package wasi:sockets@0.2.6;
    interface network { resource network; }
    interface instance-network { use network.{network}; instance-network: func() -> network; }",
];

/// A component that imports one function, by its interface, its name and its type in a core module, and exports nothing.
pub fn importing(interface: &str, function: &str, core_type: &str) -> Vec<u8> {
    let module = format!(
        r#"(module
            (import "{interface}" "{function}" (func {core_type}))
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))"#
    );
    let (mut resolve, _) = contract();
    for package in FOREIGN {
        resolve.push_str("foreign.wit", package).unwrap();
    }
    let world = format!("package test:probe; world probe {{ import {interface}; }}");
    let package = resolve.push_str("probe.wit", &world).unwrap();
    encode(&module, &resolve, package, "probe")
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
