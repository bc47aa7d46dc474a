use crate::spec::{ComponentSpec, Role};

/// The cause that an engine error carries.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a component could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The engine itself could not be set up.
    #[error("setting up the engine failed")]
    Engine {
        /// Why.
        #[source]
        source: Cause,
    },
    /// The component's file could not be read.
    #[error("{place}: reading component `{component}` from {path} failed")]
    Read {
        /// The component's name.
        component: String,
        /// Where the manifest names it.
        place: String,
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A grant of the manifest that the gate cannot keep.
    #[error("{place}: the grants of component `{component}` cannot be kept: {text}")]
    Grant {
        /// The component's name.
        component: String,
        /// Where the manifest names it.
        place: String,
        /// What is wrong.
        text: String,
    },
    /// The file is no component that this engine compiles.
    #[error("{place}: compiling component `{component}` failed")]
    Compile {
        /// The component's name.
        component: String,
        /// Where the manifest names it.
        place: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// It imports what its role does not give.
    #[error("{place}: component `{component}` imports what {role} may not")]
    Import {
        /// The component's name.
        component: String,
        /// Where the manifest names it.
        place: String,
        /// Its role.
        role: String,
        /// Which import.
        #[source]
        source: Cause,
    },
    /// It does not export what its role asks for.
    #[error("{place}: component `{component}` does not export what {role} must")]
    Export {
        /// The component's name.
        component: String,
        /// Where the manifest names it.
        place: String,
        /// Its role.
        role: String,
        /// Which export.
        #[source]
        source: Cause,
    },
}

impl LoadError {
    pub(crate) fn compile(spec: &ComponentSpec, source: wasmtime::Error) -> Self {
        Self::Compile {
            component: spec.name.clone(),
            place: spec.place.clone(),
            source: source.into(),
        }
    }

    pub(crate) fn import(spec: &ComponentSpec, source: wasmtime::Error) -> Self {
        Self::Import {
            component: spec.name.clone(),
            place: spec.place.clone(),
            role: role(spec),
            source: source.into(),
        }
    }

    pub(crate) fn export(spec: &ComponentSpec, source: wasmtime::Error) -> Self {
        Self::Export {
            component: spec.name.clone(),
            place: spec.place.clone(),
            role: role(spec),
            source: source.into(),
        }
    }
}

fn role(spec: &ComponentSpec) -> String {
    match &spec.role {
        Role::Stage(kind) => format!("the stage `{}`", kind.as_str()),
        Role::Strategy => "a strategy".into(),
    }
}

/// An error's text, and those of its causes behind it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errors_text_has_its_causes_behind_it() {
        let error = LoadError::Engine {
            source: std::io::Error::other("no address space").into(),
        };
        assert_eq!(
            chain(&error),
            "setting up the engine failed: no address space"
        );
    }
}
