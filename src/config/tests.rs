//! Every kind of error, every source, and that the documented defaults are the real ones.

use std::{collections::BTreeSet, fs, path::PathBuf};

use callboard_protocol::TaskType;
use secrecy::ExposeSecret as _;

use super::{
    de, source,
    tree::{Node, Origin, Value, join_path, split_path},
    *,
};

/// Sources for a test: a file of this text, these variables, these `--set` flags.
struct Given {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Given {
    fn nothing() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), sources: Sources::default() }
    }

    fn file(text: &str) -> Self {
        Self::nothing().and_file(text)
    }

    fn and_file(mut self, text: &str) -> Self {
        self.sources.file = Some(self.write("callboard.toml", text));
        self
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.into(), value.into()));
        self
    }

    fn set(mut self, text: &str) -> Self {
        self.sources.overrides.push(text.parse().unwrap());
        self
    }

    fn load(&self) -> Config {
        Config::load(&self.sources).unwrap()
    }

    /// The errors, one per line, with the folder taken out.
    fn errors(&self) -> Vec<String> {
        let errors = Config::load(&self.sources).unwrap_err();
        let folder = format!("{}/", self.folder.path().display());
        errors.0.iter().map(|error| error.to_string().replace(&folder, "")).collect()
    }
}

#[test]
fn without_any_source_the_defaults_hold() {
    let config = Given::nothing().load();
    assert_eq!(config.server.listen, "127.0.0.1:8080");
    assert_eq!(config.data.folder, PathBuf::from("data"));
    assert_eq!(config.cache.lifetimes_s[&TaskType::LogQuestion], 300);
    assert_eq!(config.providers.len(), 1, "the built-in provider ends the chain");
    assert_eq!(config.providers[0].kind, ProviderKind::Extractive);
}

#[test]
fn the_documented_defaults_are_those_of_the_code() {
    let documented = de::typed::<Config>(&source::defaults(DEFAULTS), &Node::empty(), &mut vec![]);
    assert_eq!(format!("{:#?}", documented.unwrap()), format!("{:#?}", Config::default()));
}

#[test]
fn the_defaults_file_is_valid_toml() {
    assert_eq!(toml::de::DeTable::parse_recoverable(DEFAULTS).1.len(), 0);
    // … and so are its examples.
    let examples: Vec<_> = DEFAULTS
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(text) if !text.is_empty() && !text.starts_with(' ') => text,
            _ => line,
        })
        .collect();
    let config = Given::file(&examples.join("\n")).load();
    assert_eq!(config.providers[0].name, "local");
}

/// Asks every section for its keys, by way of a key that it cannot have.
#[test]
fn every_key_is_documented() {
    let reference = Config::reference();
    let mut sections: BTreeSet<Vec<String>> = BTreeSet::from([vec![]]);
    for line in DEFAULTS.lines() {
        let name = line.trim_start_matches('#').trim_matches(['[', ']']);
        if line.trim_start_matches('#').starts_with('[') {
            let mut path = split_path(name);
            if line.contains("[[") {
                path.push("0".to_owned());
            }
            sections.insert(path);
        }
    }
    let mut missing = Vec::new();
    for section in &sections {
        for key in keys_of(section) {
            let mut path = section.clone();
            path.push(key);
            let documented = reference.contains(&format!("### `{}`", join_path(&path)))
                || reference.contains(&format!("## `[{}]`", join_path(&path)))
                || reference.contains(&format!("## `[[{}]]`", join_path(&path)));
            // `…_file` stands beside every secret and is explained once.
            if !documented && !path.last().unwrap().ends_with("_file") {
                missing.push(join_path(&path));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new(), "not in config.default.toml");
}

fn keys_of(section: &[String]) -> Vec<String> {
    let defaults = source::defaults(DEFAULTS);
    let mut tree = defaults.clone();
    if section.first().is_some_and(|name| name == "providers") {
        let list = Value::List(vec![Node::empty()]);
        tree.get_mut(&[]).unwrap().merge(Node::new(
            Value::Table([("providers".to_owned(), Node::new(list, Origin::Default))].into()),
            Origin::Default,
        ));
    }
    let mut path = section.to_vec();
    path.push("?".to_owned());
    tree.set(&path, "", &Origin::Default).unwrap();
    de::known_keys::<Config>(&tree).unwrap_or_default()
}

#[test]
fn later_sources_win() {
    let given = Given::file("[server]\nlisten = '127.0.0.1:1'\n[chat]\nkeep_turns = 1\n")
        .variable("CALLBOARD__SERVER__LISTEN", "127.0.0.1:2");
    assert_eq!(given.load().server.listen, "127.0.0.1:2");
    let given = given.set("server.listen=127.0.0.1:3");
    let config = given.load();
    assert_eq!(config.server.listen, "127.0.0.1:3");
    assert_eq!(config.chat.keep_turns, 1);
    assert_eq!(config.chat.history_messages, 40, "the rest of the section stays");
    assert_eq!(config.file(), given.sources.file.as_deref());
}

#[test]
fn a_variable_takes_the_type_that_is_asked_for() {
    let config = Given::nothing()
        .variable("CALLBOARD__SERVER__LIMITS__UPLOADS", "3")
        .variable("CALLBOARD__TELEMETRY__OWN_LOG__ENABLED", "false")
        .variable("CALLBOARD__TELEMETRY__FORMAT", "json")
        .variable("CALLBOARD__SERVER__ALLOWED_ORIGINS", "https://a.example, https://b.example")
        .variable("CALLBOARD__SERVER__TRUSTED_PROXIES", r#"["10.0.0.1", "::1"]"#)
        .variable("CALLBOARD__AUTH__LOGIN_PER_NAME", "{ per_minute = 1, burst = 2 }")
        .variable("CALLBOARD__DATABASE__URL", "12345")
        .variable("CALLBOARD__REDIS__URL", "")
        .variable("CALLBOARD_TEST_REDIS_URL", "not for us")
        .load();
    assert_eq!(config.server.limits.uploads, 3);
    assert!(!config.telemetry.own_log.enabled);
    assert_eq!(config.server.allowed_origins, ["https://a.example", "https://b.example"]);
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!(config.auth.login_per_name.burst.get(), 2);
    assert_eq!(config.database.url.unwrap().expose_secret(), "12345");
    assert!(config.redis.url.is_none(), "an empty variable is none");
}

#[test]
fn providers_are_addressed_by_number_and_by_name() {
    let text = "[[providers]]\nname = 'local'\nbase_url = 'http://h/v1'\nmodel = 'm'\n";
    let config = Given::file(text)
        .variable("CALLBOARD__PROVIDERS__LOCAL__API_KEY", "sk-1")
        .variable("CALLBOARD__PROVIDERS__1__NAME", "second")
        .variable("CALLBOARD__PROVIDERS__1__BASE_URL", "http://i/v1")
        .set("providers[1].model=n")
        .load();
    let names: Vec<_> = config.providers.iter().map(|provider| &*provider.name).collect();
    assert_eq!(names, ["local", "second", "extractive"]);
    assert_eq!(config.providers[0].api_key.as_ref().unwrap().expose_secret(), "sk-1");
    assert_eq!(config.providers[1].model, "n");
    let wrong = Given::nothing()
        .variable("CALLBOARD__PROVIDERS__NOBODY__MODEL", "m")
        .set("providers[7].model=m");
    assert_eq!(
        wrong.errors(),
        [
            "environment variable CALLBOARD__PROVIDERS__NOBODY__MODEL: `providers.nobody.model` names \
             no entry of the list: none is called `nobody`; use its number",
            "flag --set providers[7].model: `providers[7].model` skips entries: the list has 0, so the \
             next is number 0",
        ]
    );
}

#[test]
fn all_errors_are_reported_with_key_and_place() {
    let text = "\
[server]
lisen = '127.0.0.1:1'
listen = 'here'

[chat]
keep_turns = 'many'
default_mode = 'wizard'

[[providers]]
name = 'a b'
kind = 'opnai'
base_url = 'http://h/v1'
model = 'm'
max_concurrency = -1

[telemetry]
format = 'prety'
filter = '=='

[elsewhere]
x = 1
";
    let errors = Given::file(text)
        .variable("CALLBOARD__SESSION__HEARTBEAT_S", "soon")
        .variable("CALLBOARD__SERVER", "x")
        .variable("CALLBOARD__CHACHE__SHARDS", "1")
        .variable("CALLBOARD____SHARDS", "1")
        .set("auth.setup_link_s=7200")
        .set("server.listen.port=1")
        .errors();
    let expected = [
        "callboard.toml:2: `server.lisen` is not a known key; did you mean `listen`?",
        "callboard.toml:3: `server.listen` must be an address and a port, such as 127.0.0.1:8080 or \
         [::1]:0",
        "callboard.toml:6: `chat.keep_turns` must be a whole number, 0 or more, and is the text \
         \"many\"",
        "callboard.toml:7: `chat.default_mode` names no mode: there is no `chat.modes.wizard`",
        "callboard.toml:10: `providers[0].name` must be 1 to 64 letters, digits, `.`, `_`, `-`",
        "callboard.toml:11: `providers[0].kind` cannot be `opnai`; did you mean `openai`?",
        "callboard.toml:14: `providers[0].max_concurrency` must be a whole number, 0 or more, and is \
         the number -1",
        "callboard.toml:17: `telemetry.format` cannot be `prety`; did you mean `pretty`?",
        "callboard.toml:18: `telemetry.filter` cannot be read: invalid filter directive",
        "callboard.toml:20: `elsewhere` is not a known key; known here: `data`, `server`, `auth`, \
         `chat`, `session`, `providers`, `models`, `gateway`, `ledger`, `budgets`, `cache`, `redis`, `database`, `logs`, `alerts`, `audit`, `jobs`, `telemetry`",
        "environment variable CALLBOARD__CHACHE__SHARDS: `chache` is not a known key; did you mean \
         `cache`?",
        "environment variable CALLBOARD__SERVER: `server` is a section; set one of its keys",
        "environment variable CALLBOARD__SESSION__HEARTBEAT_S: `session.heartbeat_s` must be a whole \
         number, 0 or more, and is the text \"soon\"",
        "environment variable CALLBOARD____SHARDS: `shards` is misnamed: it must be CALLBOARD__SECTION__KEY",
        "flag --set auth.setup_link_s: `auth.setup_link_s` must lie between 60 and 3600",
        "flag --set server.listen.port: `server.listen.port` lies below a plain value",
    ];
    assert_eq!(errors, expected);
}

#[test]
fn a_list_that_is_a_section_and_a_section_that_is_a_list() {
    let errors = Given::file("chat = 3\nproviders = 'x'\nserver = []\n").errors();
    assert_eq!(
        errors,
        [
            "callboard.toml:1: `chat` must be a section, and is the number 3",
            "callboard.toml:2: `providers` must be a list, and is the text \"x\"",
            "callboard.toml:3: `server` must be a section, and is a list",
        ]
    );
}

#[test]
fn bad_toml_names_every_line() {
    let errors =
        Given::file("[server\nlisten = '127.0.0.1:1'\n[chat]\nkeep_turns = = 2\n").errors();
    assert!(errors.iter().any(|error| error.starts_with("callboard.toml:1: is not TOML: ")));
    assert!(errors.iter().any(|error| error.starts_with("callboard.toml:4: is not TOML: ")));
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let mut given = Given::nothing();
    given.sources.file = Some(given.folder.path().join("none.toml"));
    let errors = given.errors();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("configuration file none.toml: cannot be read: "), "{errors:?}");
    let huge = Given::file(&"# no\n".repeat(300_000));
    assert_eq!(huge.errors(), ["configuration file callboard.toml: is larger than 1048576 bytes"]);
    let binary = Given::nothing();
    let path = binary.folder.path().join("callboard.toml");
    fs::write(&path, [0xff, 0xfe]).unwrap();
    let sources = Sources { file: Some(path), ..Sources::default() };
    assert!(Config::load(&sources).unwrap_err().to_string().contains("is not UTF-8 text"));
}

#[test]
fn secrets_come_from_files() {
    let given = Given::nothing();
    let key = given.write("key", "sk-from-file\n");
    let url = given.write("url", "postgres://me:pw@db/x\n");
    let config = given
        .and_file(&format!(
            "[[providers]]\nname = 'a'\nmodel = 'm'\nbase_url = 'http://h/v1'\napi_key_file = '{}'\n",
            key.display()
        ))
        .variable("CALLBOARD__DATABASE__URL_FILE", &url.display().to_string())
        .variable("CALLBOARD__REDIS__URL_FILE", "")
        .load();
    assert_eq!(config.providers[0].api_key.as_ref().unwrap().expose_secret(), "sk-from-file");
    assert_eq!(config.database.url.unwrap().expose_secret(), "postgres://me:pw@db/x");
    assert!(config.redis.url.is_none());
}

#[test]
fn a_secret_that_cannot_be_read_is_named() {
    let given = Given::nothing();
    given.write("empty", " \n");
    let empty = given.folder.path().join("empty").display().to_string();
    let missing = given.folder.path().join("missing").display().to_string();
    let errors = given
        .and_file(&format!(
            "[auth]\nsecret_file = '{missing}'\n[redis]\nurl = 'redis://h'\nurl_file = '{empty}'\n\
             [server.metrics]\ntoken_file = 7\n"
        ))
        .variable("CALLBOARD__DATABASE__URL_FILE", &empty)
        .errors();
    assert_eq!(
        errors,
        [
            "callboard.toml:2: `auth.secret_file` names the file missing: cannot be read: No such \
             file or directory (os error 2)",
            "callboard.toml:5: `redis.url_file` is set together with `url`; set one of them",
            "callboard.toml:7: `server.metrics.token_file` must be the path of a file",
            "environment variable CALLBOARD__DATABASE__URL_FILE: `database.url_file` names the file \
             empty, which is empty",
        ]
    );
}

#[test]
fn a_later_secret_replaces_an_earlier_file() {
    let given = Given::nothing();
    let url = given.write("url", "redis://file").display().to_string();
    let config = given
        .and_file(&format!("[redis]\nurl_file = '{url}'\n"))
        .variable("CALLBOARD__REDIS__URL", "redis://variable")
        .load();
    assert_eq!(config.redis.url.unwrap().expose_secret(), "redis://variable");
}

#[test]
fn secrets_are_neither_printed_nor_told_in_errors() {
    let given = Given::file(
        "[[providers]]\nname = 'a'\nmodel = 'm'\nbase_url = 'http://h/v1'\napi_key = 'hunter2'\n\
         [auth]\nsecret = 'hunter2hunter2hunter2hunter2hunter2'\n",
    )
    .variable("CALLBOARD__DATABASE__URL", "postgres://me:hunter2?@/x@db/x?password=hunter2&a=b")
    .variable("CALLBOARD__SERVER__METRICS__TOKEN", "hunter2")
    .set("redis.url=redis://:hunter2@cache:6379/0");
    let config = given.load();
    let printed = config.print_masked();
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(printed.contains("api_key = \"***\""));
    assert!(printed.contains("postgres://me:***@db/x?password=***&a=b"), "{printed}");
    assert!(printed.contains("redis://:***@cache:6379/0\" # flag --set redis.url"));
    let errors =
        Given::file("[auth]\nsecret = 'hunter2'\n[server.metrics]\ntoken = [ 'hunter2' ]\n")
            .variable("CALLBOARD__AUTH__SECRET__X", "hunter2")
            .errors();
    assert!(!errors.join("\n").contains("hunter2"), "{errors:?}");
}

#[test]
fn more_keys_and_prices_of_a_provider_are_read_and_printed() {
    let config = Given::file(
        "[[providers]]\nname = 'a'\nkind = 'anthropic'\nmodel = 'm'\n\
         api_keys = ['hunter2', 'hunter3']\n\
         prices = [{ model = 'm', input = 3, cached_input = 0.3 }]\n",
    )
    .load();
    let printed = config.print_masked();
    assert!(!printed.contains("hunter"), "{printed}");
    assert!(printed.contains("api_keys = [\"***\", \"***\"]"), "{printed}");
    let again = Given::file(&printed).load();
    assert_eq!(again.providers[0].prices[0].cached_input, Some(0.3));
    let keys = Given::nothing()
        .variable("CALLBOARD__PROVIDERS__0__NAME", "a")
        .variable("CALLBOARD__PROVIDERS__0__KIND", "gemini")
        .variable("CALLBOARD__PROVIDERS__0__MODEL", "m")
        .variable("CALLBOARD__PROVIDERS__0__API_KEYS", "one, two")
        .load();
    let keys: Vec<_> = keys.providers[0].api_keys.iter().map(|key| key.expose_secret()).collect();
    assert_eq!(keys, ["one", "two"]);
    let errors = Given::file("[[providers]]\nname = 'a'\napi_keys = 'hunter2'\n").errors();
    assert!(!errors.join("\n").contains("hunter2"), "{errors:?}");
}

#[test]
fn what_is_printed_reads_back_and_names_its_places() {
    let given =
        Given::file("[chat]\nkeep_turns = 7\n[chat.modes]\n'two words' = \"a \\\"b\\\"\"\n")
            .variable("CALLBOARD__PROVIDERS__0__NAME", "local")
            .variable("CALLBOARD__PROVIDERS__0__BASE_URL", "http://h/v1")
            .variable("CALLBOARD__PROVIDERS__0__MODEL", "m")
            .variable("CALLBOARD__PROVIDERS__0__BREAKER__WINDOW", "30");
    let printed = given.load().print_masked();
    let place = given.sources.file.as_ref().unwrap().display();
    assert!(printed.contains(&format!("keep_turns = 7 # {place}:2\n")), "{printed}");
    let again = Given::file(&printed).load();
    assert_eq!(again.chat.keep_turns, 7);
    assert_eq!(again.chat.modes["two words"], "a \"b\"");
    assert_eq!(again.providers[0].breaker.window, 30);
}

#[test]
fn the_built_in_provider_must_come_last() {
    let text = "[[providers]]\nname = 'x'\nkind = 'extractive'\n\
                [[providers]]\nname = 'y'\nmodel = 'm'\nbase_url = 'http://h/v1'\n";
    assert_eq!(
        Given::file(text).errors(),
        ["callboard.toml:3: `providers[0].kind` `extractive` always answers: it must be the last \
          provider"]
    );
}

#[test]
fn a_flag_needs_a_key_and_a_value() {
    assert!("server.listen".parse::<Override>().is_err());
    assert!("=x".parse::<Override>().is_err());
    let mut given = Given::nothing();
    given.sources.overrides.push(Override::new("--listen", "server.listen", "x"));
    assert_eq!(
        given.errors(),
        [
            "flag --listen: `server.listen` must be an address and a port, such as 127.0.0.1:8080 or \
          [::1]:0"
        ]
    );
    let long = Given::nothing().set(&format!("data.folder={}", "x".repeat(70_000)));
    assert_eq!(long.errors(), ["flag --set data.folder: `data.folder` is longer than 65536 bytes"]);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_text_is_named() {
    use std::os::unix::ffi::OsStringExt as _;
    let mut given = Given::nothing();
    let value = std::ffi::OsString::from_vec(vec![0xff]);
    given.sources.environment.push(("CALLBOARD__DATA__FOLDER".into(), value));
    assert_eq!(
        given.errors(),
        ["environment variable CALLBOARD__DATA__FOLDER: `data.folder` is not valid UTF-8"]
    );
}

#[test]
fn the_reference_has_a_description_for_every_key() {
    let reference = Config::reference();
    assert!(reference.contains("## `[server.limits]`"));
    assert!(reference.contains("### `chat.history_messages`"));
    assert!(reference.contains("Environment: `CALLBOARD__PROVIDERS__0__API_KEY`"));
    let bare: Vec<_> = reference
        .split("\n### ")
        .skip(1)
        .filter(|entry| {
            let text = entry.lines().nth(2).unwrap_or_default();
            text.is_empty() || text.starts_with("Default:")
        })
        .collect();
    assert_eq!(bare, Vec::<&str>::new());
}
