//! What all documents share: the envelope (`schema`, `pgsym`) around the JSON, and the schema that describes
//! both.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::text::Palette;
use super::{
    Audit, CollisionReport, Comparison, Dependencies, Explanation, ExportList, Functions, Inspection, Loads,
    RuleList, Symbols, Verification, Why,
};

/// One command's answer.
pub trait Document: Serialize + JsonSchema {
    /// The command's name, as in `pgsym/<command>/1`.
    const COMMAND: &'static str;
    /// Counts up when a key changes its meaning or goes away; new keys leave it as it is.
    const VERSION: u32 = 1;

    /// Writes the answer for a person, at most [`WIDTH`](super::WIDTH) columns wide where words can be broken.
    fn write_text(&self, out: &mut dyn Write, palette: &Palette) -> io::Result<()>;
}

#[derive(Serialize)]
struct Envelope<'d, D> {
    schema: String,
    pgsym: &'static str,
    #[serde(flatten)]
    document: &'d D,
}

/// Writes a document as JSON, with a newline at the end.
pub fn write_json<D: Document>(document: &D, out: &mut dyn Write) -> io::Result<()> {
    let envelope = Envelope { schema: schema_name::<D>(), pgsym: env!("CARGO_PKG_VERSION"), document };
    serde_json::to_writer_pretty(&mut *out, &envelope)?;
    writeln!(out)
}

fn schema_name<D: Document>() -> String {
    format!("pgsym/{}/{}", D::COMMAND, D::VERSION)
}

/// The JSON Schema of a document, envelope included.
pub fn schema<D: Document>() -> Value {
    // Of what is written, not of what would be read: a key that may be null is there all the same.
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<D>().to_value();
    let Some(object) = schema.as_object_mut() else { return schema };
    let mut properties = Map::new();
    properties.insert("schema".to_owned(), json!({ "const": schema_name::<D>() }));
    properties.insert(
        "pgsym".to_owned(),
        json!({ "type": "string", "description": "The version of pgsym that wrote the document." }),
    );
    if let Some(Value::Object(body)) = object.remove("properties") {
        properties.extend(body);
    }
    let mut required = vec![json!("schema"), json!("pgsym")];
    if let Some(Value::Array(body)) = object.remove("required") {
        required.extend(body);
    }
    object.insert("properties".to_owned(), Value::Object(properties));
    object.insert("required".to_owned(), Value::Array(required));
    object.insert("title".to_owned(), json!(format!("pgsym {}", D::COMMAND)));
    schema
}

/// Every document's command and schema, as `docs/schema/<command>.json` holds it.
pub fn schemas() -> Vec<(&'static str, String)> {
    fn entry<D: Document>() -> (&'static str, String) {
        (D::COMMAND, format!("{:#}\n", sorted(schema::<D>())))
    }
    vec![
        entry::<Audit>(),
        entry::<Loads>(),
        entry::<Dependencies>(),
        entry::<CollisionReport>(),
        entry::<Why>(),
        entry::<Functions>(),
        entry::<Comparison>(),
        entry::<Symbols>(),
        entry::<Inspection>(),
        entry::<ExportList>(),
        entry::<Verification>(),
        entry::<Explanation>(),
        entry::<RuleList>(),
    ]
}

/// The same value with every object's keys sorted, whichever kind of map serde_json was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_demands_the_envelope() {
        for (command, text) in schemas() {
            let schema: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(schema["properties"]["schema"]["const"], format!("pgsym/{command}/1"));
            let required = schema["required"].as_array().unwrap();
            assert!(required.contains(&json!("schema")) && required.contains(&json!("pgsym")), "{command}");
        }
    }
}
