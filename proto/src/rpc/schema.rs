//! The OpenRPC document (<https://spec.open-rpc.org>) of the control socket, made from the types in `call`.

use super::call::{self, Call};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Collects one method after the other.
#[derive(Debug)]
pub(super) struct Visitor {
    schemas: SchemaGenerator,
    methods: Vec<Value>,
}

impl Visitor {
    pub(super) fn visit<C: Call<Answer: JsonSchema> + JsonSchema>(&mut self) {
        let params = self.schemas.root_schema_for::<C>().to_value();
        let required: Vec<&str> =
            params["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = params["properties"].as_object().cloned().unwrap_or_default();
        let params: Vec<Value> = properties
            .into_iter()
            .map(|(name, schema)| {
                json!({ "name": name, "required": required.contains(&name.as_str()), "schema": schema })
            })
            .collect();
        let result = self.schemas.subschema_for::<C::Answer>();
        self.methods.push(json!({
            "name": C::METHOD,
            "summary": C::SUMMARY,
            "paramStructure": "by-name",
            "params": params,
            "result": { "name": "result", "schema": result },
            "x-access": C::ACCESS,
        }));
    }
}

/// The document for this version of netkit.
#[must_use]
pub fn openrpc(version: &str) -> Value {
    let settings = SchemaSettings::draft07().with(|s| s.definitions_path = "/components/schemas".into());
    let mut visitor = Visitor { schemas: settings.into_generator(), methods: Vec::new() };
    call::for_each(&mut visitor);
    let definitions: Map<String, Value> = visitor.schemas.take_definitions(true);
    json!({
        "openrpc": "1.3.2",
        "info": { "title": "netkit", "version": version, "license": { "name": "MIT OR Apache-2.0" } },
        "methods": visitor.methods,
        "components": { "schemas": definitions },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_to_a_definition() {
        let document = openrpc("1.2.3");
        let names: Vec<&str> =
            document["methods"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
        assert!(names.contains(&"chat.send") && names.contains(&"rpc.discover"), "{names:?}");
        let text = document.to_string();
        let mut references = 0;
        for part in text.split("\"$ref\":\"").skip(1) {
            let reference = part.split('"').next().unwrap();
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            references += 1;
        }
        assert!(references > 5);
        let send = document["methods"].as_array().unwrap().iter().find(|m| m["name"] == "chat.send").unwrap();
        let required: Vec<_> =
            send["params"].as_array().unwrap().iter().filter(|p| p["required"] == true).collect();
        assert_eq!(required.len(), 2);
    }
}
