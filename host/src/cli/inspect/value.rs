//! A report as JSON. Its fields are a contract, which docs/plugins.md has: none goes, none changes.

use portcell::plugin::Producer;
use serde_json::{Map, Value, json};

use super::grants::Grant;
use super::{Report, entry_name};

pub(super) fn of(report: &Report<'_>) -> Value {
    let Report { plugin, anatomy, imports, warnings } = report;
    let unknown: Vec<_> = imports
        .iter()
        .filter(|(_, grant)| *grant == Grant::NotOffered)
        .map(|(import, _)| format!("{}.{}", import.module, import.name))
        .collect();
    let imports: Vec<_> = imports
        .iter()
        .map(|(import, grant)| {
            json!({
                "module": import.module,
                "name": import.name,
                "type": import.signature,
                "group": grant.name(),
                "granted_by": grant.granted_by(),
            })
        })
        .collect();
    let exports: Vec<_> = plugin
        .exports()
        .iter()
        .map(|export| json!({ "name": export.name, "type": export.signature }))
        .collect();
    let warnings: Vec<_> = warnings
        .iter()
        .map(|warning| {
            json!({ "kind": warning.kind, "message": warning.message, "advice": warning.advice })
        })
        .collect();
    let sections = &anatomy.sections;
    json!({
        "kind": "module",
        "digest": plugin.digest(),
        "size": plugin.bytes().len(),
        "language": anatomy.language.as_ref().map(|language| json!({
            "name": language.name,
            "version": language.version,
            "told_by": language.told_by,
        })),
        "producers": producers(&anatomy.producers),
        "target_features": anatomy.target_features,
        "entry": plugin.entry().ok().map(entry_name),
        "initialize": plugin.export("_initialize").is_some(),
        "start": anatomy.start,
        "memory": plugin.memory().map(|memory| {
            json!({ "minimum": memory.minimum, "maximum": memory.maximum })
        }),
        "grows": anatomy.grows,
        "stack": anatomy.stack.map(|stack| json!({
            "top": stack.top,
            "at_most": stack.at_most,
            "first": stack.is_first,
        })),
        "sections": {
            "code": sections.code,
            "data": sections.data,
            "names": sections.names,
            "debug": sections.debug,
            "other": sections.other,
        },
        "imports": imports,
        "unknown_imports": unknown,
        "exports": exports,
        "warnings": warnings,
    })
}

/// `{"processed-by": [{"name": "rustc", "version": "1.96.0"}]}`
fn producers(all: &[Producer]) -> Value {
    let mut fields: Map<String, Value> = Map::new();
    for producer in all {
        let entry = json!({ "name": producer.name, "version": producer.version });
        let field = fields.entry(&producer.field).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(entries) = field {
            entries.push(entry);
        }
    }
    Value::Object(fields)
}
