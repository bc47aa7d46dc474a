//! The component: the contract's types and imports around the stage.

mod bindings {
    #![allow(missing_docs, reason = "the documentation is in the WIT")]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "execute",
        generate_all,
    });
}

use crate::task;

struct Component;

bindings::export!(Component with_types_in bindings);

bulkhead_kernel::component_ports!(Imports);
bulkhead_kernel::component_report!();

/// The imports of the world.
struct Imports;

impl stage::Guest for Component {
    fn describe() -> stage::Descriptor {
        stage::Descriptor {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            input_schema: task::INPUT_SCHEMA.to_owned(),
            output_schema: task::OUTPUT_SCHEMA.to_owned(),
        }
    }

    async fn run(invocation: stage::Invocation) -> Result<stage::Report, stage::StageError> {
        task::run(
            &Imports,
            &invocation.input,
            invocation.fake_mode,
            invocation.scheduled_at_ms,
        )
        .await
        .map(contract_report)
        .map_err(contract_error)
    }
}
