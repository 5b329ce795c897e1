//! The schemas of the types that requests and responses consist of.

use std::collections::BTreeSet;

use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Where a document has the schemas that have names.
const SCHEMAS: &str = "#/components/schemas/";

/// Makes the schema of a type.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`, or a reference to it if it has a name.
pub fn schema_of<T: JsonSchema + ?Sized>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The schemas of a document: those of what is read, and those of what is written. A type may have one of each, such as one with a
/// field that may be left out of a request and is in every response.
#[derive(Debug)]
pub struct Schemas {
    /// Of what is read.
    pub read: SchemaGenerator,
    /// Of what is written.
    pub written: SchemaGenerator,
}

impl Schemas {
    /// None yet.
    pub fn new() -> Self {
        let with = |contract| {
            let settings = SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
                settings.contract = contract;
            });
            settings.into_generator()
        };
        Self { read: with(Contract::Deserialize), written: with(Contract::Serialize) }
    }

    /// All schemas that have names, and the names that have another schema in requests than in responses: there they end in `Input`.
    pub fn into_named(mut self) -> (Map<String, Value>, Renamed) {
        let read = self.read.take_definitions(true);
        let mut named = self.written.take_definitions(true);
        let mut renamed = Renamed(BTreeSet::new());
        loop {
            let differs = |(name, schema): &(&String, &Value)| {
                named.get(*name).is_some_and(|written| written != *schema || renamed.applies_to(schema))
            };
            let before = renamed.0.len();
            let differing: Vec<String> = read.iter().filter(differs).map(|(name, _)| name.clone()).collect();
            renamed.0.extend(differing);
            if renamed.0.len() == before {
                break;
            }
        }
        for (name, mut schema) in read {
            renamed.apply(&mut schema);
            named.insert(renamed.name(&name), schema);
        }
        named.values_mut().for_each(tidy);
        (named, renamed)
    }
}

/// The names of schemas that are others in requests.
#[derive(Debug)]
pub struct Renamed(BTreeSet<String>);

impl Renamed {
    /// Lets every reference of a request name the schema that is meant in requests.
    pub fn apply(&self, request: &mut Value) {
        for_each_reference(request, &mut |reference| {
            if let Some(name) = reference.strip_prefix(SCHEMAS).map(|name| self.name(name)) {
                *reference = format!("{SCHEMAS}{name}");
            }
        });
    }

    fn name(&self, name: &str) -> String {
        if self.0.contains(name) { format!("{name}Input") } else { name.to_owned() }
    }

    fn applies_to(&self, schema: &Value) -> bool {
        let mut applies = false;
        for_each_reference(&mut schema.clone(), &mut |reference| {
            applies |= reference.strip_prefix(SCHEMAS).is_some_and(|name| self.0.contains(name));
        });
        applies
    }
}

fn for_each_reference(value: &mut Value, change: &mut impl FnMut(&mut String)) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get_mut("$ref") {
                change(reference);
            }
            fields.values_mut().for_each(|value| for_each_reference(value, change));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| for_each_reference(value, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Writes a choice between words as `enum`, which more generators of clients know; what each means goes into the description.
/// Takes the line breaks of source files out of descriptions.
pub fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(words) = fields.get("oneOf").and_then(words) {
                let own = fields.get("description").and_then(Value::as_str).unwrap_or_default();
                let meanings: String = words.iter().map(|(word, means)| format!("\n- `{word}`: {means}")).collect();
                let description = format!("{own}\n{meanings}");
                let values: Vec<_> = words.iter().map(|(word, _)| word.clone()).collect();
                fields.remove("oneOf");
                fields.insert("type".to_owned(), json!("string"));
                fields.insert("enum".to_owned(), json!(values));
                fields.insert("description".to_owned(), json!(description));
            } else if let Some(Value::String(description)) = fields.get_mut("description") {
                let paragraphs: Vec<_> = description
                    .split("\n\n")
                    .map(|lines| lines.replace('\n', " ").replace("[`", "`").replace("`]", "`"))
                    .collect();
                *description = paragraphs.join("\n\n");
            }
            // A field of any kind: `{}` says the same as `true`, which fewer generators of clients read.
            let properties = fields.get_mut("properties").and_then(Value::as_object_mut);
            for any in properties.into_iter().flat_map(Map::values_mut).filter(|schema| **schema == json!(true)) {
                *any = json!({});
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(values) => values.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The words of a choice, each with its meaning, if all of it is words.
fn words(choice: &Value) -> Option<Vec<(String, String)>> {
    let word = |value: &Value| {
        let means = value.get("description")?.as_str()?.replace('\n', " ");
        Some((value.get("const")?.as_str()?.to_owned(), means))
    };
    choice.as_array()?.iter().map(word).collect()
}
