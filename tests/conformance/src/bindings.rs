//! Spin's interfaces that are not of wasmtime's own crates.

wasmtime::component::bindgen!({
    path: [
        "../../functions/spin/store/wit",
        "../../wit/deps/config@0.2.0-draft-2024-09-27",
    ],
    inline: "
        package bulkhead:conformance;

        world spin {
            import spin:sqlite/sqlite@3.1.0;
            import wasi:config/store@0.2.0-draft-2024-09-27;
        }
    ",
    world: "bulkhead:conformance/spin",
    imports: { default: trappable },
    with: {
        "spin:sqlite/sqlite.connection": crate::sqlite::Connection,
    },
});
