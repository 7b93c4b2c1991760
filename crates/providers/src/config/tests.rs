//! Good and bad configurations.

use secrecy::ExposeSecret as _;

use super::{target::below, *};

fn read(json: serde_json::Value) -> ProviderConfig {
    serde_json::from_value(json).unwrap()
}

fn keys(config: &ProviderConfig) -> Vec<String> {
    config.validate("providers[0]").into_iter().map(|error| error.key).collect()
}

fn local() -> ProviderConfig {
    read(serde_json::json!({
        "name": "local", "base_url": "http://127.0.0.1:8000/v1/", "model": "tiny",
    }))
}

#[test]
fn a_short_configuration_is_enough() {
    assert_eq!(keys(&local()), Vec::<String>::new());
    let url = below(&local().base().unwrap(), ["chat", "completions"]);
    assert_eq!(url.as_str(), "http://127.0.0.1:8000/v1/chat/completions");
    assert_eq!(keys(&ProviderConfig::extractive()), Vec::<String>::new());
}

#[test]
fn an_unknown_key_is_refused() {
    let json = serde_json::json!({"name": "x", "max_concurency": 3});
    let error = serde_json::from_value::<ProviderConfig>(json).unwrap_err();
    assert!(error.to_string().contains("max_concurency"), "{error}");
}

#[test]
fn every_bad_value_is_named() {
    let config = ProviderConfig {
        name: "a b".to_owned(),
        base_url: Some("ftp://x".to_owned()),
        max_concurrency: 0,
        idle_timeout_ms: 0,
        temperature: Some(f64::NAN),
        output_usd_per_million: Some(-1.0),
        breaker: BreakerConfig { min_calls: 21, failure_rate: 0.0, ..BreakerConfig::default() },
        ..ProviderConfig::default()
    };
    let expected = [
        "name",
        "base_url",
        "model",
        "max_concurrency",
        "idle_timeout_ms",
        "temperature",
        "output_usd_per_million",
        "breaker.min_calls",
        "breaker.failure_rate",
    ];
    assert_eq!(keys(&config), expected.map(|key| format!("providers[0].{key}")));
}

#[test]
fn a_base_url_is_checked() {
    for url in ["", "api.openai.com/v1", "https://me:pw@host/v1", "https://host/v1?a=b"] {
        let config = ProviderConfig { base_url: Some(url.to_owned()), ..local() };
        assert_eq!(keys(&config), ["providers[0].base_url"], "{url}");
    }
}

#[test]
fn a_key_comes_from_its_file_without_the_newline() {
    let dir = std::env::temp_dir();
    let path = dir.join(format!("callboard-key-{}", std::process::id()));
    std::fs::write(&path, "sk-secret\n").unwrap();
    let config = ProviderConfig { api_key_file: Some(path.clone()), ..local() };
    assert_eq!(config.keys().unwrap()[0].expose_secret(), "sk-secret");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(keys(&config), ["providers[0].api_key_file"]);
}

#[test]
fn certificates_come_from_their_file_or_say_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let config = ProviderConfig { ca_file: Some(path.clone()), ..local() };
    assert_eq!(keys(&config), ["providers[0].ca_file"]);
    std::fs::write(&path, "not a certificate\n").unwrap();
    assert_eq!(keys(&config), ["providers[0].ca_file"]);
    assert!(config.certificates().unwrap_err().problem.contains("no certificate"));
    assert_eq!(local().certificates().unwrap().len(), 0);
}

#[test]
fn a_key_is_never_printed() {
    let config = ProviderConfig { api_key: Some("sk-secret".to_owned().into()), ..local() };
    let json = serde_json::to_string(&config).unwrap();
    assert!(json.contains("********") && !json.contains("sk-secret"), "{json}");
    assert!(!format!("{config:?}").contains("sk-secret"));
}

#[test]
fn a_name_may_stand_once_in_a_chain() {
    let errors = validate_chain(&[local(), local()], "providers");
    assert_eq!(errors.len(), 1);
    assert_eq!(
        errors[0].to_string(),
        "`providers[1].name` `local` is the name of another provider"
    );
}

#[test]
fn every_kind_has_a_name_and_most_a_place() {
    for kind in ProviderKind::ALL {
        let config: ProviderConfig = read(serde_json::json!({
            "name": "x", "kind": kind.as_str(), "model": "m",
        }));
        assert_eq!(config.kind, kind);
        let needs_url = matches!(kind, ProviderKind::OpenAi | ProviderKind::Azure);
        let expected: &[&str] = if needs_url { &["providers[0].base_url"] } else { &[] };
        assert_eq!(keys(&config), expected, "{kind:?}");
    }
}

#[test]
fn the_place_of_an_azure_deployment_is_checked() {
    let config = ProviderConfig {
        deployment: Some("a/b".to_owned()),
        api_version: Some(String::new()),
        azure_auth: Some(AzureAuth::Entra),
        kind: ProviderKind::Azure,
        ..local()
    };
    assert_eq!(keys(&config), ["providers[0].deployment", "providers[0].api_version"]);
}

#[test]
fn keys_come_from_everywhere_in_order() {
    let secret = |text: &str| SecretString::from(text.to_owned());
    let path = std::env::temp_dir().join(format!("callboard-keys-{}", std::process::id()));
    std::fs::write(&path, "sk-4\n").unwrap();
    let config = ProviderConfig {
        api_key: Some(secret("sk-1")),
        api_keys: vec![secret("sk-2"), secret("sk-3")],
        api_key_files: vec![path.clone()],
        ..local()
    };
    let found = config.keys().unwrap();
    let found: Vec<_> = found.iter().map(|key| key.expose_secret().to_owned()).collect();
    assert_eq!(found, ["sk-1", "sk-2", "sk-3", "sk-4"]);
    let json = serde_json::to_string(&config).unwrap();
    assert!(!json.contains("sk-"), "{json}");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(keys(&config), ["providers[0].api_key_files[0]"]);
    let config = ProviderConfig { api_keys: vec![secret("a b")], ..local() };
    assert_eq!(keys(&config), ["providers[0].api_keys[0]"]);
}

#[test]
fn prices_are_checked() {
    let price = ModelPrice { model: " ".to_owned(), input: -1.0, ..ModelPrice::default() };
    let cached = ModelPrice {
        model: "m".to_owned(),
        cached_input: Some(f64::INFINITY),
        ..ModelPrice::default()
    };
    let config = ProviderConfig { prices: vec![price, cached], ..local() };
    let expected = ["prices[0].model", "prices[0].input", "prices[1].cached_input"];
    assert_eq!(keys(&config), expected.map(|key| format!("providers[0].{key}")));
}

#[test]
fn only_what_is_here_is_trusted_by_itself() {
    let at = |base: &str, trusted| {
        let base_url = Some(base.to_owned());
        ProviderConfig { base_url, trusted, ..ProviderConfig::default() }.is_trusted()
    };
    assert!(at("http://127.0.0.1:11434/v1", None) && at("http://localhost:1/v1", None));
    assert!(!at("https://api.openai.com/v1", None) && !at("http://10.0.0.7/v1", None));
    assert!(at("https://api.openai.com/v1", Some(true)));
    assert!(!at("http://127.0.0.1:1/v1", Some(false)));
    assert!(ProviderConfig::extractive().is_trusted());
}
