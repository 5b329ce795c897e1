//! The description of the API: all of its routes and nothing else, and examples that are as described. That responses are as
//! described is checked wherever a test sends a request to a server of its own: see `ApiDescription::assert_described`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use throng_domain::admin_token::Role;
use throng_testkit::{ApiDescription, TestServer};

use super::admin::{Admin, ROUTES};

/// Every route outside of administration.
const PUBLIC: [(&str, &str); 13] = [
    ("POST", "/api/submit"),
    ("GET", "/api/result"),
    ("GET", "/api/v1/ballots/{ballot_id}"),
    ("DELETE", "/api/v1/ballots/{ballot_id}"),
    ("GET", "/api/v1/polls/{slug}"),
    ("POST", "/api/v1/polls/{slug}/ballots"),
    ("GET", "/api/v1/polls/{slug}/challenge"),
    ("GET", "/api/v1/polls/{slug}/results"),
    ("GET", "/api/v1/shows/{slug}"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
];

#[test]
fn document_is_served_as_it_is_made() {
    let server = TestServer::start();
    let answer = server.get("/openapi.json");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(&answer.json(), ApiDescription::get().document());
    assert_eq!(answer.json()["openapi"], "3.1.0");
}

#[test]
fn all_routes_are_described_and_nothing_else() {
    let described = ApiDescription::get().operations();
    let described: BTreeSet<(String, String)> =
        described.iter().map(|operation| (operation.method.sent(), operation.path.to_owned())).collect();
    let with_parameters = |path: &str| {
        let path = path.replace("/demo", "/{slug}").replace("/voids/1", "/voids/{number}");
        let path = path.replace("/finale", "/{slug}").replace("/webhooks/9", "/webhooks/{number}");
        path.replace("/batch-1", "/{batch}").replace("/tokens/9", "/tokens/{number}")
    };
    let public = PUBLIC.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned()));
    let admin = ROUTES
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), format!("/api/v1/admin{}", with_parameters(path))));
    assert_eq!(described, public.chain(admin).collect());
}

/// `Allow` is what the router itself says of an address.
#[test]
fn described_methods_are_those_of_the_router() {
    let server = TestServer::start();
    let admin = Admin::new(&server, "anna", Role::Admin);
    let mut methods: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for operation in ApiDescription::get().operations() {
        let of_path = methods.entry(operation.path).or_default();
        of_path.insert(operation.method.sent());
        if operation.method.sent() == "GET" {
            of_path.insert("HEAD".to_owned());
        }
    }
    for (path, described) in methods {
        let address = path.replace("{slug}", "demo").replace("{number}", "1").replace("{batch}", "b");
        let address = address.replace("{ballot_id}", "018f4d1e-7c00-7000-8000-000000000001");
        let headers = [("authorization", admin.authorization.as_str())];
        let answer = server.connect().request("TRACE", &address, &headers, b"");
        assert_eq!(answer.status, 405, "{path}: {answer:?}");
        let allowed: BTreeSet<_> = answer.header("allow").unwrap().split(',').map(|it| it.trim().to_owned()).collect();
        assert_eq!(allowed, described, "{path}");
    }
}

#[test]
fn examples_are_as_described() {
    let description = ApiDescription::get();
    let mut checked = 0;
    let mut check = |content: &Value, of: &str| {
        for (media_type, content) in content.as_object().into_iter().flatten() {
            let named = content["examples"].as_object().into_iter().flatten().map(|(_, example)| &example["value"]);
            for example in content.get("example").into_iter().chain(named) {
                checked += 1;
                let faults = description.faults(&content["schema"], example);
                assert!(faults.is_empty(), "{of} {media_type}: {faults:?}\n{example:#}");
            }
        }
    };
    for operation in description.operations() {
        let of = format!("{} {}", operation.method.sent(), operation.path);
        check(&operation.object["requestBody"]["content"], &of);
        for (status, response) in operation.object["responses"].as_object().unwrap() {
            check(&description.resolved(response)["content"], &format!("{of} {status}"));
        }
        for parameter in operation.object["parameters"].as_array().into_iter().flatten() {
            let Some(example) = parameter.get("example") else { continue };
            let faults = description.faults(&parameter["schema"], example);
            assert!(faults.is_empty(), "{of} {parameter}: {faults:?}");
        }
    }
    assert!(checked > 100, "{checked}");
}

/// What a client generator or a reader has to know of each operation.
#[test]
fn operations_say_who_may_use_them_and_how_they_fail() {
    for operation in ApiDescription::get().operations() {
        let of = format!("{} {}", operation.method.sent(), operation.path);
        let is_admin = operation.path.starts_with("/api/v1/admin/");
        assert_eq!(operation.object["security"][0].is_object(), is_admin, "{of}");
        let responses = operation.object["responses"].as_object().unwrap();
        assert_eq!(responses.contains_key("401"), is_admin, "{of}");
        assert!(responses.keys().any(|status| status.starts_with('2')), "{of}");
        for needed in ["400", "500", "503"] {
            assert!(responses.contains_key(needed), "{of} {needed}");
        }
        assert!(operation.object["summary"].as_str().is_some_and(|text| !text.is_empty()), "{of}");
    }
}

/// The page at `/docs` is the whole description, and needs nothing but itself.
#[test]
fn page_has_all_operations_and_loads_nothing() {
    let server = TestServer::start();
    let answer = server.get("/docs");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let page = answer.text();
    for operation in ApiDescription::get().operations() {
        let id = operation.object["operationId"].as_str().unwrap();
        let method = operation.method.sent().to_lowercase();
        let shown = format!(
            "<details id=\"{id}\">\n<summary><b class=\"{method}\">{method}</b> <code>{}</code>",
            operation.path
        );
        assert!(page.contains(&shown), "{shown}");
    }
    for name in ApiDescription::get().document()["components"]["schemas"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("<details id=\"schema-{name}\">")), "{name}");
    }
    for link in page.split("href=\"#").skip(1).map(|link| link.split('"').next().unwrap()) {
        assert!(page.contains(&format!("id=\"{link}\"")), "{link} leads nowhere");
    }
    for needing in ["<script", " style=", " src=", "@import", "url(", "href=\"http", " onclick", "javascript:"] {
        assert!(!page.contains(needing), "{needing}");
    }
    let (_, styles) = page.split_once("<style>").unwrap();
    let (styles, _) = styles.split_once("</style>").unwrap();
    let digest = STANDARD.encode(Sha256::digest(styles));
    let expected = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    assert_eq!(answer.header("content-security-policy"), Some(expected.as_str()));
}
