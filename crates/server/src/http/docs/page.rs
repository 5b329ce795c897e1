//! The document as a page, without script.

use askama::Template;
use serde_json::Value;

/// The page's styles, which are in the page.
pub const STYLE: &str = include_str!("../../../../../web/api.css");

/// The methods in the order in which they are shown.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// What the page shows.
#[derive(Template)]
#[template(path = "api.html")]
pub struct ApiPage<'a> {
    version: &'a str,
    style: &'static str,
    about: Vec<Block<'a>>,
    groups: Vec<Group<'a>>,
    schemas: Vec<Schema<'a>>,
}

struct Group<'a> {
    name: &'a str,
    about: Vec<Block<'a>>,
    operations: Vec<Operation<'a>>,
}

struct Operation<'a> {
    id: &'a str,
    method: &'static str,
    path: &'a str,
    summary: &'a str,
    description: Vec<Block<'a>>,
    parameters: Vec<Field<'a>>,
    body: Option<Vec<Content<'a>>>,
    responses: Vec<Response<'a>>,
}

struct Response<'a> {
    status: &'a str,
    description: Vec<Block<'a>>,
    content: Vec<Content<'a>>,
}

struct Content<'a> {
    media_type: &'a str,
    kind: Vec<Part<'a>>,
    examples: Vec<String>,
}

struct Schema<'a> {
    name: &'a str,
    description: Vec<Block<'a>>,
    kind: Vec<Part<'a>>,
    fields: Vec<Field<'a>>,
}

struct Field<'a> {
    name: &'a str,
    /// Where a parameter is; nothing for a field.
    place: &'a str,
    kind: Vec<Part<'a>>,
    required: bool,
    description: Vec<Block<'a>>,
}

/// A part of the name of a type; with the schema that it names, if it does.
struct Part<'a> {
    text: String,
    schema: Option<&'a str>,
}

/// A paragraph, or an item of a list.
struct Block<'a> {
    is_item: bool,
    pieces: Vec<Piece<'a>>,
}

struct Piece<'a> {
    is_code: bool,
    text: &'a str,
}

impl<'a> ApiPage<'a> {
    /// The page of a document.
    pub fn new(document: &'a Value) -> Self {
        let groups = document["tags"].as_array().into_iter().flatten().map(|tag| group(document, tag)).collect();
        let schemas = entries(&document["components"]["schemas"]).map(|(name, schema)| Schema {
            name,
            description: blocks(text(&schema["description"])),
            kind: kind(schema),
            fields: fields(schema),
        });
        Self {
            version: text(&document["info"]["version"]),
            style: STYLE,
            about: blocks(text(&document["info"]["description"])),
            groups,
            schemas: schemas.collect(),
        }
    }
}

fn group<'a>(document: &'a Value, tag: &'a Value) -> Group<'a> {
    let has_tag = |operation: &Value| operation["tags"].as_array().is_some_and(|tags| tags.contains(&tag["name"]));
    let operations = entries(&document["paths"]).flat_map(|(path, methods)| {
        let of_path = METHODS.into_iter().filter_map(move |method| Some((method, methods.get(method)?)));
        let of_group = of_path.filter(|(_, operation)| has_tag(operation));
        of_group.map(move |(method, object)| operation(document, (method, path), object)).collect::<Vec<_>>()
    });
    Group { name: text(&tag["name"]), about: blocks(text(&tag["description"])), operations: operations.collect() }
}

fn operation<'a>(document: &'a Value, (method, path): (&'static str, &'a str), object: &'a Value) -> Operation<'a> {
    let parameters = object["parameters"].as_array().into_iter().flatten().map(|parameter| Field {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        kind: kind(&parameter["schema"]),
        required: parameter["required"] == true,
        description: blocks(text(&parameter["description"])),
    });
    let responses = entries(&object["responses"]).map(|(status, response)| {
        let response = resolved(document, response);
        Response {
            status,
            description: blocks(text(&response["description"])),
            content: contents(&response["content"]),
        }
    });
    Operation {
        id: text(&object["operationId"]),
        method,
        path,
        summary: text(&object["summary"]),
        description: blocks(text(&object["description"])),
        parameters: parameters.collect(),
        body: object.get("requestBody").map(|body| contents(&body["content"])),
        responses: responses.collect(),
    }
}

fn contents(content: &Value) -> Vec<Content<'_>> {
    let contents = entries(content).map(|(media_type, content)| {
        let named = entries(&content["examples"]).map(|(_, example)| &example["value"]);
        let examples = content.get("example").into_iter().chain(named).map(example_text);
        Content { media_type, kind: kind(&content["schema"]), examples: examples.collect() }
    });
    contents.collect()
}

fn example_text(example: &Value) -> String {
    example.as_str().map_or_else(|| format!("{example:#}"), str::to_owned)
}

/// The fields of an object's schema.
fn fields(schema: &Value) -> Vec<Field<'_>> {
    let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|field| field == name));
    let fields = entries(&schema["properties"]).map(|(name, field)| Field {
        name,
        place: "",
        kind: kind(field),
        required: required(name),
        description: blocks(text(&field["description"])),
    });
    fields.collect()
}

/// What kind of value a schema describes.
fn kind(schema: &Value) -> Vec<Part<'_>> {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return vec![Part { text: name.to_owned(), schema: Some(name) }];
    }
    if let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        let mut parts = Vec::new();
        for choice in choices {
            if !parts.is_empty() {
                parts.push(plain(" or ".to_owned()));
            }
            parts.extend(kind(choice));
        }
        return parts;
    }
    if let Some(only) = schema.get("const") {
        return vec![plain(only.to_string())];
    }
    let words =
        schema["enum"].as_array().map(|words| words.iter().map(Value::to_string).collect::<Vec<_>>().join(" or "));
    if let Some(words) = words {
        return vec![plain(words)];
    }
    if let Some(items) = schema.get("items") {
        let mut parts = vec![plain("list of ".to_owned())];
        parts.extend(kind(items));
        return parts;
    }
    let types = match (schema["type"].as_array(), schema["type"].as_str()) {
        (Some(types), _) => types.iter().map(text).collect::<Vec<_>>().join(" or "),
        (None, Some(only)) => only.to_owned(),
        (None, None) => "any".to_owned(),
    };
    let detail = schema["pattern"].as_str().or(schema["format"].as_str());
    vec![plain(detail.map_or(types.clone(), |detail| format!("{types} ({detail})")))]
}

fn plain<'a>(text: String) -> Part<'a> {
    Part { text, schema: None }
}

/// The paragraphs and items of a text in Markdown, of which the document uses no more than these and code.
fn blocks(text: &str) -> Vec<Block<'_>> {
    let lines = text.lines().filter(|line| !line.is_empty());

    let blocks = lines.map(|line| {
        let item = line.strip_prefix("- ");
        let pieces = item.unwrap_or(line).split('`').enumerate();
        let pieces =
            pieces.map(|(at, text)| Piece { is_code: at % 2 == 1, text }).filter(|piece| !piece.text.is_empty());
        Block { is_item: item.is_some(), pieces: pieces.collect() }
    });
    blocks.collect()
}

fn entries(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    object.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}
