//! The API as its document describes it, for tests that compare it with what a server does.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::http::Answer;

/// The description of the API of this build.
pub struct ApiDescription {
    document: Value,
    /// The schemas that were needed so far, by their texts: making one takes some time.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// An operation in the document.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// In capitals.
    pub method: Method<'a>,
    /// With its parameters in braces.
    pub path: &'a str,
    /// Its object.
    pub object: &'a Value,
}

/// The name of a method, which a document has in lower case.
#[derive(Clone, Copy, Debug)]
pub struct Method<'a>(&'a str);

impl Method<'_> {
    /// As it is sent.
    pub fn sent(self) -> String {
        self.0.to_uppercase()
    }
}

impl ApiDescription {
    /// The one of this build.
    pub fn get() -> &'static Self {
        static DESCRIPTION: LazyLock<ApiDescription> =
            LazyLock::new(|| ApiDescription { document: throng::http::api_document(), validators: Mutex::default() });
        &DESCRIPTION
    }

    /// Every operation.
    pub fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, object)| Operation { method: Method(method), path, object })
        });
        operations.collect()
    }

    /// Fails where this answer to a request isn't as the document says: its status, its media type, its body. What isn't in the
    /// document, such as pages, may be anything.
    #[track_caller]
    pub fn assert_described(&self, method: &str, target: &str, answer: &Answer) {
        let path = target.split('?').next().unwrap_or_default();
        let fits = |operation: &Operation<'_>| operation.method.sent() == method && is_of(operation.path, path);
        let operations = self.operations();
        // A path without parameters is meant before one with them.
        let Some(operation) =
            operations.iter().filter(|operation| fits(operation)).min_by_key(|it| it.path.contains('{'))
        else {
            return;
        };
        let of = format!("{method} {}", operation.path);
        let response = self.resolved(&operation.object["responses"][answer.status.to_string()]);
        assert!(response.is_object(), "{of} isn't described to respond with {}: {answer:?}", answer.status);
        let Some(media_type) = answer.header("content-type").filter(|_| !answer.body.is_empty()) else {
            // What the HTTP library rejects has a status only.
            assert!(response["content"].is_null() || answer.status == 400, "{of}: there is no body: {answer:?}");
            return;
        };
        let essence = media_type.split(';').next().unwrap_or_default();
        let content = &response["content"][essence];
        assert!(content.is_object(), "{of} isn't described to respond with {essence}: {answer:?}");
        let is_json = essence == "application/json" || essence.ends_with("+json");
        let body = if is_json { answer.json() } else { answer.text().into() };
        let faults = self.faults(&content["schema"], &body);
        assert!(faults.is_empty(), "{of} isn't described to respond so: {faults:?}\n{body}");
    }

    /// Why a value isn't valid by a schema of the document; nothing if it is.
    pub fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let validator = {
            let mut validators = self.validators.lock().unwrap();
            let made = validators.entry(schema.to_string()).or_insert_with(|| {
                let whole = json!({ "allOf": [schema], "components": self.document["components"] });
                let options = jsonschema::draft202012::options().should_validate_formats(true);
                Arc::new(options.build(&whole).unwrap_or_else(|error| panic!("{error}: {schema}")))
            });
            Arc::clone(made)
        };
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    /// What a reference of the document refers to; the value itself, if it is none.
    pub fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
            Some(pointer) => self.document.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is missing")),
            None => value,
        }
    }

    /// The document.
    pub fn document(&self) -> &Value {
        &self.document
    }
}

/// Whether a path is one of those of a path with parameters.
fn is_of(described: &str, path: &str) -> bool {
    let (described, path): (Vec<_>, Vec<_>) = (described.split('/').collect(), path.split('/').collect());
    described.len() == path.len()
        && described.iter().zip(path).all(|(one, other)| one.starts_with('{') && !other.is_empty() || *one == other)
}
