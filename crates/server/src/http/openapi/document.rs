//! The whole document.

use serde_json::{Map, Value, json};

use super::operation::{Described, Tag};
use super::routes::Route;
use super::schemas::{Schemas, tidy};

/// The OpenAPI document of these routes.
pub fn document(routes: Vec<Route>) -> Value {
    let (mut schemas, mut responses) = (Schemas::new(), Map::new());
    let mut described = Vec::new();
    for Route { method, path, role, describe } in routes {
        let operation = describe();
        let operation = if let Some(role) = role { operation.for_role(role) } else { operation };
        described.push((method, path, operation.into_json(&mut schemas, &mut responses)));
    }
    let (named, renamed) = schemas.into_named();
    let mut paths = Map::new();
    for (method, path, Described { mut operation, mut parameters, mut body, responses }) in described {
        parameters.iter_mut().for_each(tidy);
        for request in parameters.iter_mut().chain(&mut body) {
            renamed.apply(request);
        }
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(body) = body {
            operation["requestBody"] = body;
        }
        operation["responses"] = responses.into();
        paths.entry(path).or_insert_with(|| json!({}))[method] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Throng",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A poll server for crowds that all vote at once.",
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": ".", "description": "The server that this document is from." }],
        "security": [],
        "tags": Tag::ALL.map(|(tag, description)| json!({ "name": tag.as_str(), "description": description })),
        "paths": paths,
        "components": {
            "schemas": named,
            "responses": responses,
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token of an administrator, which `throng token create` makes.",
            } },
        },
    })
}

const ABOUT: &str = "Every error is `application/problem+json` (RFC 9457) with a stable `code`. A 503 with a code says that nothing was \
    accepted: send the request again after `Retry-After`. A ballot that is sent again with the same `ballot_id` counts once.\n\n\
    A field that isn't described is refused in requests. Responses may get more fields in later versions.";
