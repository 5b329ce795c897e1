//! What one method of one address does, takes and responds with.

use std::collections::BTreeMap;

use hyper::StatusCode;
use hyper::header::RETRY_AFTER;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};
use throng_domain::admin_token::Role;

use super::problems::{common_problems, token_problems};
use super::schemas::{SchemaOf, Schemas, schema_of};
use crate::http::problem::{Details, Problem};

/// The group in which an operation is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// What voters and their pages need.
    Voting,
    /// The routes of the system that Throng replaces.
    Compatibility,
    /// Polls and their results, for administrators.
    Polls,
    /// Invitation codes.
    Codes,
    /// Shows, for administrators.
    Shows,
    /// Webhooks.
    Webhooks,
    /// Tokens and the audit log.
    Access,
    /// Health, metrics, and this description.
    Operations,
}

impl Tag {
    /// Every group, in the order in which they are shown, with what it contains.
    pub const ALL: [(Self, &str); 8] = [
        (Self::Voting, "Voting, and results, for voters and their pages."),
        (Self::Compatibility, "The routes of the system that Throng replaces, on the default poll."),
        (Self::Polls, "Polls, their ballots and results, for administrators."),
        (Self::Codes, "Invitation codes of polls with the policy `code`, for administrators."),
        (Self::Shows, "Polls in the order of an evening, for administrators."),
        (Self::Webhooks, "Who is told what happens to polls, for administrators."),
        (Self::Access, "Tokens of administrators, and the log of what was changed."),
        (Self::Operations, "Health and metrics, for operators, and the description of the API."),
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Voting => "voting",
            Self::Compatibility => "compatibility",
            Self::Polls => "polls",
            Self::Codes => "codes",
            Self::Shows => "shows",
            Self::Webhooks => "webhooks",
            Self::Access => "access",
            Self::Operations => "operations",
        }
    }
}

/// The description of an operation.
#[derive(Debug)]
pub struct Operation {
    id: &'static str,
    summary: &'static str,
    description: String,
    tag: Tag,
    role: Option<Role>,
    parameters: Vec<Parameter>,
    queries: Vec<SchemaOf>,
    body: Option<Body>,
    responses: Vec<Success>,
    problems: Vec<Problem>,
}

#[derive(Debug)]
struct Parameter {
    name: &'static str,
    location: &'static str,
    required: bool,
    description: &'static str,
    schema: SchemaOf,
    example: Value,
}

#[derive(Debug)]
struct Body {
    media_types: &'static [&'static str],
    schema: SchemaOf,
    example: Value,
}

/// A response that isn't a problem.
#[derive(Debug)]
struct Success {
    status: StatusCode,
    description: &'static str,
    content: Vec<(&'static str, SchemaOf, Value)>,
    headers: Vec<(&'static str, &'static str)>,
}

impl Operation {
    /// An operation with this unique name, without parameters, whose responses are to be added.
    pub fn new(tag: Tag, id: &'static str, summary: &'static str) -> Self {
        let (description, parameters, queries) = (String::new(), Vec::new(), Vec::new());
        let (responses, problems) = (Vec::new(), Vec::new());
        Self { id, summary, description, tag, role: None, parameters, queries, body: None, responses, problems }
    }

    /// With a text, in Markdown.
    pub fn describe(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self
    }

    /// For tokens with this role or a higher one.
    pub(super) fn for_role(self, role: Role) -> Self {
        Self { role: Some(role), ..self }.problems(token_problems(role))
    }

    /// With a part of the path.
    pub fn path<T: JsonSchema>(self, name: &'static str, description: &'static str, example: Value) -> Self {
        self.parameter::<T>("path", name, (true, description), example)
    }

    /// With a header that may be sent.
    pub fn header<T: JsonSchema>(self, name: &'static str, description: &'static str, example: Value) -> Self {
        self.parameter::<T>("header", name, (false, description), example)
    }

    /// With a header that has to be sent.
    pub fn required_header<T: JsonSchema>(self, name: &'static str, description: &'static str, example: Value) -> Self {
        self.parameter::<T>("header", name, (true, description), example)
    }

    /// With a parameter of the query that may be sent.
    pub fn parameter_in_query<T: JsonSchema>(
        self,
        name: &'static str,
        description: &'static str,
        example: Value,
    ) -> Self {
        self.parameter::<T>("query", name, (false, description), example)
    }

    fn parameter<T: JsonSchema>(
        mut self,
        location: &'static str,
        name: &'static str,
        (required, description): (bool, &'static str),
        example: Value,
    ) -> Self {
        self.parameters.push(Parameter { name, location, required, description, schema: schema_of::<T>, example });
        self
    }

    /// With a query that has the fields of `T`.
    pub fn query<T: JsonSchema>(mut self) -> Self {
        self.queries.push(T::json_schema);
        self
    }

    /// With a body of JSON.
    pub fn body<T: JsonSchema>(self, example: Value) -> Self {
        self.body_of::<T>(&["application/json"], example)
    }

    /// With a body of JSON that may be sent as one of these media types.
    pub fn body_of<T: JsonSchema>(self, media_types: &'static [&'static str], example: Value) -> Self {
        Self { body: Some(Body { media_types, schema: schema_of::<T>, example }), ..self }
    }

    /// With a response of JSON.
    pub fn responds<T: JsonSchema>(self, status: StatusCode, description: &'static str, example: Value) -> Self {
        self.responds_as::<T>(status, description, "application/json", example)
    }

    /// With a response of this media type; or with one media type more, if it has the status of the response before.
    pub fn responds_as<T: JsonSchema + ?Sized>(
        mut self,
        status: StatusCode,
        description: &'static str,
        media_type: &'static str,
        example: Value,
    ) -> Self {
        let content: (_, SchemaOf, _) = (media_type, schema_of::<T>, example);
        match self.responses.last_mut() {
            Some(last) if last.status == status => last.content.push(content),
            Some(_) | None => {
                self.responses.push(Success { status, description, content: vec![content], headers: Vec::new() });
            }
        }
        self
    }

    /// With a response that has no body.
    pub fn responds_empty(mut self, status: StatusCode, description: &'static str) -> Self {
        self.responses.push(Success { status, description, content: Vec::new(), headers: Vec::new() });
        self
    }

    /// With a header of the last response.
    pub fn with_header(mut self, name: &'static str, description: &'static str) -> Self {
        self.responses
            .iter_mut()
            .last()
            .expect("a response comes before its headers")
            .headers
            .push((name, description));
        self
    }

    /// With these problems.
    pub fn problems(mut self, problems: impl IntoIterator<Item = Problem>) -> Self {
        self.problems.extend(problems);
        self
    }

    /// The operation's object in the document, and what has to be known to finish it: responses that several operations have are
    /// among the components, by their names.
    pub(super) fn into_json(self, schemas: &mut Schemas, components: &mut Map<String, Value>) -> Described {
        let mut parameters: Vec<Value> = self.parameters.iter().map(|parameter| parameter.json(schemas)).collect();
        for query in &self.queries {
            parameters.extend(parameters_of(query(&mut schemas.read).to_value()));
        }
        let mut responses = Map::new();
        for response in &self.responses {
            responses.insert(response.status.as_str().to_owned(), response.json(schemas));
        }
        for (status, problems) in by_status(self.problems, common_problems()) {
            let (name, response) = problem_response(&problems, schemas);
            components.insert(name.clone(), response);
            responses.insert(status.to_string(), json!({ "$ref": format!("#/components/responses/{name}") }));
        }
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.summary,
            "tags": [self.tag.as_str()],
        });
        let role = self.role.map(|role| format!("Needs a token with the role `{}` or a higher one.", role.as_str()));
        let description: Vec<_> = [self.description].into_iter().chain(role).filter(|text| !text.is_empty()).collect();
        if !description.is_empty() {
            operation["description"] = description.join("\n\n").into();
        }
        if self.role.is_some() {
            operation["security"] = json!([{ "token": [] }]);
        }
        let body = self.body.map(|Body { media_types, schema, example }| {
            let schema = schema(&mut schemas.read).to_value();
            let media =
                media_types.iter().map(|kind| ((*kind).to_owned(), json!({ "schema": schema, "example": example })));
            json!({ "required": true, "content": media.collect::<Map<_, _>>() })
        });
        Described { operation, parameters, body, responses }
    }
}

/// The parts of an operation's object.
#[derive(Debug)]
pub(super) struct Described {
    pub operation: Value,
    pub parameters: Vec<Value>,
    pub body: Option<Value>,
    pub responses: Map<String, Value>,
}

impl Parameter {
    fn json(&self, schemas: &mut Schemas) -> Value {
        json!({
            "name": self.name,
            "in": self.location,
            "required": self.required,
            "description": self.description,
            "schema": (self.schema)(&mut schemas.read),
            "example": self.example,
        })
    }
}

/// A parameter for each field of a query.
fn parameters_of(query: Value) -> Vec<Value> {
    let is_required =
        |name: &str| query["required"].as_array().is_some_and(|all| all.iter().any(|field| field == name));
    let fields = query["properties"].as_object().into_iter().flatten();
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        // What isn't given isn't `null`, for which a query has no form.
        if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
            kinds.retain(|kind| kind != "null");
        }
        if let Some(choices) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
            choices.retain(|choice| choice["type"] != "null");
            if let [only] = &choices[..] {
                schema = only.clone();
            }
        }
        let mut parameter = json!({ "name": name, "in": "query", "required": is_required(name), "schema": schema });
        parameter["description"] = description.unwrap_or_default();
        parameter
    };
    fields.map(parameter).collect()
}

impl Success {
    fn json(&self, schemas: &mut Schemas) -> Value {
        let mut response = json!({ "description": self.description });
        let headers = self.headers.iter().map(|(name, description)| {
            ((*name).to_owned(), json!({ "description": description, "schema": { "type": "string" } }))
        });
        let headers: Map<_, _> = headers.collect();
        if !headers.is_empty() {
            response["headers"] = headers.into();
        }
        let content = self.content.iter().map(|(media_type, schema, example)| {
            let schema = schema(&mut schemas.written);
            ((*media_type).to_owned(), json!({ "schema": schema, "example": example }))
        });
        let content: Map<_, _> = content.collect();
        if !content.is_empty() {
            response["content"] = content.into();
        }
        response
    }
}

fn by_status(problems: Vec<Problem>, common: Vec<Problem>) -> BTreeMap<u16, Vec<Problem>> {
    let mut by_status: BTreeMap<u16, Vec<Problem>> = BTreeMap::new();
    for problem in problems.into_iter().chain(common) {
        let others = by_status.entry(problem.status().as_u16()).or_default();
        if others.iter().all(|other| other.code() != problem.code()) {
            others.push(problem);
        }
    }
    by_status
}

/// The response with any of these problems, which have one status, and a name for it.
fn problem_response(problems: &[Problem], schemas: &mut Schemas) -> (String, Value) {
    let mut codes: Vec<_> = problems.iter().map(Problem::code).collect();
    codes.sort_unstable();
    let status = problems[0].status().as_u16();
    let listed: String =
        problems.iter().map(|problem| format!("\n- `{}`: {}", problem.code(), problem.title())).collect();
    let example = |problem: &Problem| {
        let response = problem.response::<bytes::Bytes>();
        let body: Value = serde_json::from_slice(response.body()).expect("a problem is JSON");
        (problem.code().to_owned(), json!({ "value": body }))
    };
    let mut schema = schema_of::<Details<'_>>(&mut schemas.written).to_value();
    schema["properties"] = json!({ "code": { "enum": codes }, "status": { "const": status } });
    let mut response = json!({
        "description": format!("One of:\n{listed}"),
        "content": { "application/problem+json": {
            "schema": schema,
            "examples": problems.iter().map(example).collect::<Map<_, _>>(),
        } },
    });
    let headers = problems[0].response::<bytes::Bytes>();
    if headers.headers().contains_key(RETRY_AFTER) {
        response["headers"]["Retry-After"] = json!({
            "description": "After how many seconds the request may be sent again.",
            "schema": { "type": "integer", "minimum": 1 },
        });
    }
    (format!("{status}.{}", codes.join(".")), response)
}
