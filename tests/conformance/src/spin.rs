//! Requests in, responses out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use wasmtime::component::{Component as Code, Linker, ResourceTable};
use wasmtime::error::Context as _;
use wasmtime::{Config, Engine, Result, Store, format_err};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::p3::bindings::{Service, ServicePre};
use wasmtime_wasi_http::{Error, WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::application::{Application, Component};
use crate::bindings::{spin, wasi};
use crate::outbound::{Outbound, collect};
use crate::sqlite::Own;

/// Compiled components. Several applications share it, so that each component is compiled once.
pub struct Runtime {
    engine: Engine,
    compiled: Mutex<BTreeMap<PathBuf, Code>>,
}

impl Runtime {
    /// A runtime that has compiled nothing yet.
    ///
    /// # Errors
    /// When the machine cannot run WebAssembly.
    pub fn new() -> Result<Self> {
        let mut config = Config::new();
        config.wasm_component_model_async(true);
        Ok(Self {
            engine: Engine::new(&config)?,
            compiled: Mutex::default(),
        })
    }

    fn compile(&self, file: &Path) -> Result<Code> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(code) = compiled.get(file) {
            return Ok(code.clone());
        }
        let code = Code::from_file(&self.engine, file)?;
        compiled.insert(file.to_owned(), code.clone());
        Ok(code)
    }
}

/// An application that runs. Clones are the same one.
#[derive(Clone)]
pub struct Spin(Arc<Deployed>);

struct Deployed {
    engine: Engine,
    components: BTreeMap<String, (Arc<Component>, ServicePre<State>)>,
    routes: Vec<(String, String)>,
    database: Arc<PathBuf>,
}

/// What a component's instance has.
pub struct State {
    pub component: Arc<Component>,
    /// The file of the default database.
    pub database: Arc<PathBuf>,
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outbound,
        }
    }
}

/// What Spin supplies, of what is asked for here: no more.
fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    wasi::config::store::add_to_linker::<_, Own>(&mut linker, |state| state)?;
    spin::sqlite::sqlite::add_to_linker::<_, Own>(&mut linker, |state| state)?;
    Ok(linker)
}

impl Spin {
    /// Deploys the components that an HTTP route leads to. `root` is the manifest's folder, `database` the file of the
    /// default database.
    ///
    /// # Errors
    /// When a component cannot be read, imports what is not supplied here, or is no HTTP handler.
    pub fn deploy(
        runtime: &Runtime,
        application: &Application,
        root: &Path,
        database: &Path,
    ) -> Result<Self> {
        let linker = linker(&runtime.engine)?;
        let mut components = BTreeMap::new();
        for (_, id) in &application.routes {
            let component = &application.components[id];
            let file = root.join(&component.source);
            let service = runtime
                .compile(&file)
                .and_then(|code| ServicePre::new(linker.instantiate_pre(&code)?))
                .with_context(|| format!("load `{id}` from {}", file.display()))?;
            components.insert(id.clone(), (Arc::new(component.clone()), service));
        }
        Ok(Self(Arc::new(Deployed {
            engine: runtime.engine.clone(),
            components,
            routes: application.routes.clone(),
            database: Arc::new(database.to_owned()),
        })))
    }

    /// Whether a component is deployed.
    pub(crate) fn has(&self, component: &str) -> bool {
        self.0.components.contains_key(component)
    }

    /// Answers a request to the application: by the component that its route leads to.
    ///
    /// # Errors
    /// When no route is the request's path, or the component gives no response.
    pub async fn request(&self, request: Request<Bytes>) -> Result<Response<Bytes>> {
        let path = request.uri().path();
        let (_, component) = self
            .0
            .routes
            .iter()
            .find(|(route, _)| route == path)
            .with_context(|| format!("no route is `{path}`"))?;
        let component = component.clone();
        self.handle(&component, request).await
    }

    /// Answers a request by a fresh instance of a component.
    pub(crate) fn handle<'a>(
        &'a self,
        component: &'a str,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>>> + Send + 'a>> {
        Box::pin(async move {
            let (component, service) = self
                .0
                .components
                .get(component)
                .with_context(|| format!("`{component}` is not deployed"))?;
            let mut store = Store::new(&self.0.engine, self.state(component));
            let service = service.instantiate_async(&mut store).await?;
            let response = store
                .run_concurrent(async |accessor| answer(&service, accessor, request).await)
                .await??;
            Ok(response)
        })
    }

    fn state(&self, component: &Arc<Component>) -> State {
        State {
            component: Arc::clone(component),
            database: Arc::clone(&self.0.database),
            table: ResourceTable::new(),
            wasi: WasiCtxBuilder::new().inherit_stderr().build(),
            http: WasiHttpCtx::new(),
            outbound: Outbound {
                spin: self.clone(),
                allowed_hosts: component.allowed_outbound_hosts.clone(),
            },
        }
    }
}

/// The response is read whole while the guest's task still runs: it writes the body after its handler has returned.
async fn answer(
    service: &Service,
    accessor: &wasmtime::component::Accessor<State>,
    request: Request<Bytes>,
) -> Result<Response<Bytes>> {
    let body = |body: Bytes| Full::new(body).map_err(|never| -> Error { match never {} });
    // How sending the request's body went is of no interest: it is in memory.
    let request = accessor.with(|mut access| {
        let hooks = access.data_mut().http().hooks;
        let (request, _sent) = wasmtime_wasi_http::p3::Request::from_http(hooks, request.map(body));
        request
    });
    let response = service
        .handle(accessor, request)
        .await?
        .map_err(|code| format_err!("the component answered {code:?}"))?;
    let response =
        accessor.with(|access| response.into_http(access, std::future::ready(Ok(()))))?;
    let (head, body) = response.into_parts();
    let body = collect(body).await.map_err(wasmtime::Error::new)?;
    Ok(Response::from_parts(head, body))
}
