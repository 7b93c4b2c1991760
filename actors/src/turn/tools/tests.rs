use super::*;

#[test]
fn every_tool_has_a_schema_that_is_an_object() {
    let specs = specs();
    assert_eq!(specs.len(), Tool::ALL.len());
    for spec in specs {
        let schema: Value = serde_json::from_str(spec.parameters.as_str()).unwrap();
        assert_eq!(schema["type"], "object", "{}", spec.name);
        assert!(spec.description.is_some_and(|words| words.ends_with('.')));
    }
}

#[test]
fn a_step_says_what_is_looked_for() {
    assert_eq!(started(r#"{"query":"level:error","of":"users"}"#), "level:error, users");
    assert_eq!(started("{"), "");
    assert_eq!(started(&format!(r#"{{"query":"{}"}}"#, "ü".repeat(900))).chars().count(), 200);
}
