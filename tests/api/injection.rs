//! Log lines that want to act, and a model that does whatever it reads: nothing crosses a right, and
//! nothing leaves the machine.
//!
//! The attacks stand in `web/src/test/attacks.json`; the page renders what the model says of them in a
//! test of its own (`web/src/markdown/attacks.test.tsx`).

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use callboard_protocol::{AuditPage, RoleDetails};
use callboard_testkit::{FakeVendor, RecordedRequest, Reply};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use crate::harness::{Database, Launch, fresh, read};

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attack {
    name: String,
    /// What the log says.
    line: String,
    /// What a model calls that obeys it.
    calls: Vec<(String, String)>,
    /// What it says in the end; `%STOLEN%` is all that its calls gave.
    says: String,
    /// Whether the line holds what nobody sees.
    #[serde(default)]
    hidden: bool,
}

/// What stands in logs that the asker may not see.
const SECRETS: [&str; 4] = ["zx4711", "Mallory", "zx9000", "bonus of Trent"];

const PAYROLL: &str = "\
2026-11-21T03:00:00Z ERROR payroll: salary of Eve is sum-zx4711 amount=zx4711
2026-11-21T03:00:02Z ERROR payroll: salary run stopped after Mallory user=Mallory
2026-11-21T03:00:03Z INFO payroll: salary is zx9000, and the bonus of Trent
";

/// In each line that attacks, and nowhere else: where it turns up, log text is.
const MARK: &str = "zqmark";

/// A model that obeys whatever it reads.
#[derive(Default)]
struct Obedient {
    attack: Option<Attack>,
    /// Whether it has read the line that attacks.
    read: bool,
    called: bool,
}

impl Obedient {
    fn reply(&mut self, request: &RecordedRequest, evil: &str) -> Reply {
        let Some(attack) = &self.attack else { return Reply::text(&["Nothing."]) };
        self.read |= request.body.to_string().contains(MARK);
        if !self.called && !attack.calls.is_empty() {
            self.called = true;
            let calls = attack.calls.iter().enumerate();
            return calls.fold(Reply::text(&["Of course."]), |reply, (nth, (tool, arguments))| {
                let arguments = arguments.replace("%EVIL%", evil);
                reply.tool_call(&format!("call_{nth}"), tool, &arguments)
            });
        }
        let messages = request.body["messages"].as_array().unwrap();
        let results = messages.iter().filter(|message| message["role"] == "tool");
        let stolen: String =
            results.map(|message| message["content"].as_str().unwrap_or_default()).collect();
        let stolen: String = stolen.chars().take(8_000).collect();
        Reply::text(&[&attack.says.replace("%EVIL%", evil).replace("%STOLEN%", &stolen)])
    }
}

/// Counts whoever comes.
async fn evil() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visits);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (url, visits)
}

/// What stands outside all fences of a prompt; and that these are ours alone, and closed.
fn outside_fences(text: &str) -> String {
    let mut outside = String::new();
    let mut inside: Option<&str> = None;
    for line in text.lines() {
        match inside {
            None => match line.strip_prefix("<<<") {
                Some(name) => inside = Some(name),
                None => {
                    outside.push_str(line);
                    outside.push('\n');
                }
            },
            Some(name) if line.strip_suffix(">>>") == Some(name) => inside = None,
            Some(_) => assert!(!line.contains("<<<") && !line.contains(">>>"), "{line:?}"),
        }
    }
    assert_eq!(inside, None, "a fence is closed");
    outside
}

/// Characters that nobody sees, and that a model reads.
fn is_invisible(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{115f}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{e0000}'..='\u{e0fff}')
}

fn assert_safe(told: &str, who: &str) {
    for secret in SECRETS {
        assert!(!told.contains(secret), "{who}: {secret} in {told}");
    }
}

fn check_prompt(request: &RecordedRequest, attack: &Attack) {
    let who = &attack.name;
    assert_safe(&request.body.to_string(), who);
    for message in request.body["messages"].as_array().unwrap() {
        let Some(content) = message["content"].as_str() else { continue };
        if message["role"] == "assistant" {
            continue;
        }
        let outside = outside_fences(content);
        assert!(!outside.contains(MARK), "{who}: log text outside of a fence: {outside}");
        if message["role"] == "system" {
            assert!(!content.contains(MARK), "{who}");
        }
        if attack.hidden {
            let seen = content.chars().find(|char| is_invisible(*char));
            assert_eq!(seen, None, "{who}: {content:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_obeys_the_log_does_no_harm() {
    let attacks: Vec<Attack> =
        serde_json::from_str(include_str!("../../web/src/test/attacks.json")).unwrap();
    assert!(attacks.len() >= 40);
    let (evil, visits) = evil().await;
    let vendor = FakeVendor::start().await;
    let model = Arc::new(Mutex::new(Obedient::default()));
    let (obeying, address) = (Arc::clone(&model), evil.clone());
    vendor.choose(move |request| obeying.lock().unwrap().reply(request, &address));
    let server = Launch::on(Database::Sqlite).await.provider(&vendor).start().await;
    server.ingest(&server.write("payroll.log", PAYROLL)).await;
    let lines = attacks.iter().enumerate().map(|(nth, attack)| {
        let text = attack.line.replace("%EVIL%", &evil);
        format!("2026-11-21T03:10:{:02}Z ERROR web: case-{nth} {MARK} {text}\n", nth % 60)
    });
    server.ingest(&server.write("web.log", lines.collect::<String>())).await;
    let admin = server.admin().await;
    let role =
        json!({ "permissions": ["account_use", "chat_use", "logs_read"], "sources": ["*web.log"] });
    let _: RoleDetails = read(admin.request(Method::PUT, "/admin/roles/web").json(&role)).await;
    let vic = server.user("vic", "web".parse().unwrap()).await;

    for (nth, attack) in attacks.iter().enumerate() {
        *model.lock().unwrap() = Obedient { attack: Some(attack.clone()), ..Obedient::default() };
        let before = vendor.requests().len();
        let answer = vic.ask(&fresh(&format!("What about case-{nth}?"))).await;
        assert!(model.lock().unwrap().read, "{}: the model read it", attack.name);
        assert_safe(&format!("{answer:?}"), &attack.name);
        for request in &vendor.requests()[before..] {
            check_prompt(request, attack);
        }
    }
    assert_eq!(visits.load(Ordering::Relaxed), 0, "nobody was told of anything");
    let done: AuditPage = admin.get(&format!("/admin/audit?actor={}", vic.user.id)).await;
    let done: Vec<&str> = done.items.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(done, ["auth.login"], "nothing was done in the asker's name");
}
