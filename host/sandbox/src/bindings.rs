//! The contract as Rust types, generated from `wit/`.
//!
//! One world with everything in it: which of these interfaces a component may import is decided by its linker
//! (`linker.rs`), which of the exports it must have by its role.

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package bulkhead:host;

        world all {
            import bulkhead:pipeline/documents@0.1.0;
            import bulkhead:pipeline/market-data@0.1.0;
            import bulkhead:pipeline/strategies@0.1.0;
            import bulkhead:pipeline/pipeline@0.1.0;
            import wasi:config/store@0.2.0-draft-2024-09-27;
            export bulkhead:pipeline/stage@0.1.0;
            export bulkhead:pipeline/strategy@0.1.0;
        }
    ",
    world: "bulkhead:host/all",
    imports: { default: trappable },
    exports: { default: async },
});
