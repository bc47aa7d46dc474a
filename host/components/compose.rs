//! Composes each stage with its adapters into a component that Spin runs: HTTP in front of it, documents and bars
//! over `spin:sqlite` behind it.
//!
//! The stage is in the composition twice: over the store, and, for runs in fake mode, over the store's faces that refuse
//! every write. The gateway knows the one as `bulkhead:pipeline/stage`, the other as `bulkhead:spin/fake-stage`.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, NodeId, PackageId};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const STAGE: &str = "bulkhead:pipeline/stage@0.1.0";
const FAKE_STAGE: &str = "bulkhead:spin/fake-stage";
const STRATEGY: &str = "bulkhead:pipeline/strategy@0.1.0";
const STRATEGIES: &str = "bulkhead:pipeline/strategies@0.1.0";
const PIPELINE: &str = "bulkhead:pipeline/pipeline@0.1.0";
const HANDLER: &str = "wasi:http/handler@0.3.0";

/// What a stage imports of the store, and what it gets of it in fake mode.
const STORE: [(&str, &str); 2] = [
    (
        "bulkhead:pipeline/documents@0.1.0",
        "bulkhead:spin/fake-documents",
    ),
    (
        "bulkhead:pipeline/market-data@0.1.0",
        "bulkhead:spin/fake-market-data",
    ),
];

/// An empty core module: magic and version.
const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// The adapters, as components.
pub struct Adapters {
    pub gateway: Vec<u8>,
    pub store: Vec<u8>,
    pub strategies: Vec<u8>,
    pub pipeline: Vec<u8>,
    /// See [`types`].
    pub types: Vec<u8>,
}

/// A component that exports nothing but the types of `stage` and `strategy`. An interface that uses types of another
/// makes that one an import of the component, which has to come from somewhere; `wit` is the contract's folder.
pub fn types(wit: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut resolve = Resolve::default();
    let (contract, _) = resolve.push_dir(wit)?;
    for name in ["stage", "strategy"] {
        let interface = *resolve.packages[contract]
            .interfaces
            .get(name)
            .ok_or_else(|| format!("the contract has no interface `{name}`"))?;
        resolve.interfaces[interface].functions.clear();
    }
    let package = resolve.push_str(
        "types.wit",
        &format!("package bulkhead:spin; world types {{ export {STAGE}; export {STRATEGY}; }}"),
    )?;
    let world = resolve.select_world(&[package], Some("types"))?;
    let mut module = EMPTY_MODULE.to_vec();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(ComponentEncoder::default()
        .module(&module)?
        .validate(true)
        .encode()?)
}

/// Composes `stage`, a component that exports `bulkhead:pipeline/stage`.
pub fn compose(adapters: &Adapters, stage: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut graph = Graph(CompositionGraph::new());
    let types = graph.package("bulkhead:types", &adapters.types)?;
    let types = graph.instance(types, &[])?;
    let type_only = [
        (STAGE, graph.export(types, STAGE)?),
        (STRATEGY, graph.export(types, STRATEGY)?),
    ];
    let store = graph.package("bulkhead:store", &adapters.store)?;
    let store = graph.instance(store, &[])?;
    let stage = graph.package("bulkhead:stage", stage)?;

    let mut services = Vec::from(type_only);
    for (name, interface, adapter) in [
        ("bulkhead:strategies", STRATEGIES, &adapters.strategies),
        ("bulkhead:pipeline", PIPELINE, &adapters.pipeline),
    ] {
        if graph.imports(stage).contains(&interface.to_owned()) {
            let package = graph.package(name, adapter)?;
            let instance = graph.instance(package, &type_only)?;
            services.push((interface, graph.export(instance, interface)?));
        }
    }

    let mut faces = BTreeMap::new();
    for fake_mode in [false, true] {
        let mut given = services.clone();
        for (real, fake) in STORE {
            let face = if fake_mode { fake } else { real };
            given.push((real, graph.export(store, face)?));
        }
        let instance = graph.instance(stage, &given)?;
        faces.insert(fake_mode, graph.export(instance, STAGE)?);
    }
    let gateway = graph.package("bulkhead:gateway", &adapters.gateway)?;
    let gateway = graph.instance(
        gateway,
        &[(STAGE, faces[&false]), (FAKE_STAGE, faces[&true])],
    )?;
    let handler = graph.export(gateway, HANDLER)?;
    graph.0.export(handler, HANDLER)?;
    Ok(graph.0.encode(EncodeOptions::default())?)
}

struct Graph(CompositionGraph);

impl Graph {
    fn package(&mut self, name: &str, bytes: &[u8]) -> Result<PackageId, Box<dyn Error>> {
        let package = Package::from_bytes(name, None, bytes, self.0.types_mut())
            .map_err(|error| format!("read `{name}`: {error:#}"))?;
        Ok(self.0.register_package(package)?)
    }

    /// The names of what a package imports.
    fn imports(&self, package: PackageId) -> Vec<String> {
        let world = self.0[package].ty();
        self.0.types()[world].imports.keys().cloned().collect()
    }

    /// Instantiates a package with those of `given` that it imports. What is not given becomes an import of the whole.
    fn instance(
        &mut self,
        package: PackageId,
        given: &[(&str, NodeId)],
    ) -> Result<NodeId, Box<dyn Error>> {
        let imports = self.imports(package);
        let instance = self.0.instantiate(package);
        for (interface, node) in given {
            if imports.iter().any(|import| import == interface) {
                self.0
                    .set_instantiation_argument(instance, interface, *node)?;
            }
        }
        Ok(instance)
    }

    fn export(&mut self, instance: NodeId, interface: &str) -> Result<NodeId, Box<dyn Error>> {
        Ok(self.0.alias_instance_export(instance, interface)?)
    }
}
