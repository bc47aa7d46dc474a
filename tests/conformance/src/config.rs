use crate::bindings::wasi::config::store::{Error, Host};
use crate::spin::State;

impl Host for State {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        Ok(Ok(self.component.variables.get(&key).cloned()))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, Error>> {
        let pairs = &self.component.variables;
        Ok(Ok(pairs
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()))
    }
}
