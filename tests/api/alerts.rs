//! Alert rules: made, evaluated, told of by every kind of channel, muted and forgotten.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use callboard_protocol::{
    Alert, AlertChannelList, AlertOutlook, AlertPage, AlertRule, AlertRuleList, AlertRuleState,
    ChannelKind, ErrorCode, LogAnomalies, Role, Timestamp,
};
use callboard_testkit::{PATIENCE, Receiver, RecordedRequest, eventually, eventually_some};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Client, Database, Launch, Server, on_both_databases, read};

on_both_databases! {
    rules_are_made_fire_are_muted_and_forgotten,
}

/// Signs the notices of the webhook.
const SECRET: &str = "it-is-signed-with-this";

/// A server with a channel of each kind that is told by HTTP, and one that is not there.
async fn launch(on: Database, receiver: &Receiver) -> Launch {
    let url = receiver.url();
    let config = format!(
        "[alerts]\nevery_s = 1\n\
         [[alerts.channels]]\nname = \"hook\"\nkind = \"webhook\"\nwebhook_url = \"{url}\"\n\
         secret = \"{SECRET}\"\n\
         [[alerts.channels]]\nname = \"slack\"\nkind = \"slack\"\nwebhook_url = \"{url}\"\n\
         [[alerts.channels]]\nname = \"pager\"\nkind = \"pagerduty\"\nwebhook_url = \"{url}\"\n\
         token = \"integration-key\"\n\
         [[alerts.channels]]\nname = \"nobody\"\nkind = \"webhook\"\n\
         webhook_url = \"http://127.0.0.1:9/\"\n"
    );
    Launch::on(on).await.config(&config)
}

async fn create(client: &Client, rule: &Value) -> AlertRule {
    read(client.request(Method::POST, "/alerts/rules").json(rule)).await
}

/// A rule that fires when there are so many errors within ten minutes.
fn errors(name: &str, at_least: u64, channels: &[&str]) -> Value {
    json!({
        "name": name,
        "severity": "critical",
        "condition": {
            "kind": "threshold", "q": "level:error", "window_s": 600, "at_least": at_least,
        },
        "channels": channels,
    })
}

/// Indexes so many errors of now.
async fn break_down(server: &Server, name: &str, count: usize) {
    let now = Timestamp::now();
    let line = |n| format!("{now} ERROR <!here> disk {n} is full, password=hunter2hunter2\n");
    let path = server.write(name, (0..count).map(line).collect::<String>());
    server.ingest(&path).await;
}

async fn until_state(client: &Client, rule: &AlertRule, state: AlertRuleState) -> AlertRule {
    let there = async || {
        let rule: AlertRule = client.get(&format!("/alerts/rules/{}", rule.id)).await;
        (rule.state == state).then_some(rule)
    };
    eventually_some(PATIENCE, there).await
}

async fn alerts(client: &Client, query: &str) -> Vec<Alert> {
    client.get::<AlertPage>(&format!("/alerts{query}")).await.items
}

async fn rules_are_made_fire_are_muted_and_forgotten(on: Database) {
    let receiver = Receiver::start([]).await;
    let server = launch(on, &receiver).await.start().await;
    let ada = server.admin().await;
    let made = create(&ada, &errors("disks", 3, &["hook"])).await;
    assert_eq!(
        (made.state, made.channels.as_slice()),
        (AlertRuleState::Waiting, &["hook".to_owned()][..])
    );
    until_state(&ada, &made, AlertRuleState::Ok).await;
    break_down(&server, "a.log", 3).await;
    let firing = until_state(&ada, &made, AlertRuleState::Firing).await;
    assert!(firing.evaluated_at.is_some() && firing.problem.is_none());
    let found = alerts(&ada, "?state=firing").await;
    assert_eq!((found.len(), found[0].finding.count), (1, 3));
    assert_eq!(found[0].finding.summary, "3 lines in 10 min; 3 are too many");
    assert_eq!(receiver.until(1).await.len(), 1);

    // Over a restart it goes on, and nobody is told again.
    let server = server.stop().await.start().await;
    let ada = server.sign_in("ada").await;
    let again = eventually_some(PATIENCE, async || {
        let again = alerts(&ada, "").await;
        (again[0].seen_at > found[0].seen_at).then_some(again)
    })
    .await;
    assert_eq!((again.len(), again[0].id), (1, found[0].id));
    assert_eq!(receiver.requests().len(), 1);

    // Page by page.
    create(&ada, &errors("more disks", 2, &[])).await;
    eventually_some(PATIENCE, async || (alerts(&ada, "").await.len() == 2).then_some(())).await;
    let first: AlertPage = ada.get("/alerts?limit=1").await;
    let cursor = first.next_cursor.unwrap();
    let second: AlertPage = ada.get(&format!("/alerts?limit=1&cursor={cursor}")).await;
    assert_eq!((second.items[0].id, second.next_cursor), (found[0].id, None));

    // An analyst may look and mute, and change nothing.
    let ann = server.user("ann", Role::ANALYST).await;
    let path = format!("/alerts/rules/{}", made.id);
    let mute = ann.request(Method::POST, &format!("{path}/mute")).json(&json!({ "for_s": 60 }));
    assert!(read::<AlertRule>(mute).await.muted_until.is_some());
    let theirs = ann.request(Method::PATCH, &path).json(&json!({ "enabled": false }));
    assert_eq!(ann.refused(theirs).await, (StatusCode::FORBIDDEN, ErrorCode::Forbidden));
    let off = ada.request(Method::PATCH, &path).json(&json!({ "enabled": false, "name": "old" }));
    let off: AlertRule = read(off).await;
    assert_eq!((off.state, off.name.as_str()), (AlertRuleState::Off, "old"));
    assert_eq!(alerts(&ada, &format!("?rule_id={}&state=resolved", made.id)).await.len(), 1);
    let gone = ada.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    let refused = ada.refused(ada.request(Method::DELETE, &path)).await;
    assert_eq!(refused, (StatusCode::NOT_FOUND, ErrorCode::NotFound));
    assert_eq!(ada.get::<AlertRuleList>("/alerts/rules").await.items.len(), 1);
    assert_eq!(alerts(&ada, "").await.len(), 1, "what it found is forgotten, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_channel_tells_in_the_words_of_its_receiver() {
    let receiver = Receiver::start([]).await;
    let server = launch(Database::Sqlite, &receiver).await.start().await;
    let ada = server.admin().await;
    let channels: AlertChannelList = ada.get("/alerts/channels").await;
    let kinds: Vec<ChannelKind> = channels.items.iter().map(|channel| channel.kind).collect();
    let (hook, slack, pager) = (ChannelKind::Webhook, ChannelKind::Slack, ChannelKind::Pagerduty);
    assert_eq!(kinds, [hook, slack, pager, hook]);
    break_down(&server, "a.log", 3).await;
    create(&ada, &errors("disks", 3, &["hook", "slack", "pager"])).await;
    let told = receiver.until(3).await;
    let of = |has: &str| told.iter().find(|request| request.body.get(has).is_some()).unwrap();
    for request in &told {
        let body = request.body.to_string();
        assert!(body.contains("is full") && !body.contains("hunter2"), "{body}");
    }

    let hook = of("version");
    assert_eq!(hook.header("x-callboard-signature"), Some(signature(hook).as_str()));
    assert_eq!((&hook.body["event"], &hook.body["rule"]), (&json!("alert.fired"), &json!("disks")));
    assert!(hook.body["alerts"][0]["line_id"].as_str().unwrap().starts_with('L'));
    let slack = of("text").body["text"].as_str().unwrap();
    assert!(slack.starts_with("*FIRING [critical] disks*") && !slack.contains("<!"), "{slack}");
    let pager = &of("routing_key").body;
    assert_eq!(
        (&pager["routing_key"], &pager["event_action"]),
        (&json!("integration-key"), &json!("trigger"))
    );
    assert_eq!(pager["payload"]["severity"], "critical");

    // Tried by hand.
    let path = |name: &str| format!("/alerts/channels/{name}/test");
    for name in ["hook", "slack", "pager"] {
        let tried = ada.request(Method::POST, &path(name)).send().await.unwrap();
        assert_eq!(tried.status(), StatusCode::NO_CONTENT, "{name}");
    }
    assert_eq!(receiver.requests().len(), 7, "PagerDuty is told that it began and that it is over");
    let refused = ada.refused(ada.request(Method::POST, &path("nobody"))).await;
    assert_eq!(refused, (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::NotifyFailed));
    let refused = ada.refused(ada.request(Method::POST, &path("unknown"))).await;
    assert_eq!(refused, (StatusCode::NOT_FOUND, ErrorCode::NotFound));

    // What the configuration holds of secrets is not shown.
    let shown = server.run(&["config", "print"], "").await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("pager") && !shown.contains(SECRET) && !shown.contains(receiver.url()),
        "{shown}"
    );
    assert!(!server.log().contains(SECRET) && !server.log().contains("integration-key"));
}

/// What the receiver of a webhook computes, as the manual says.
fn signature(request: &RecordedRequest) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    let signed = aws_lc_rs::hmac::sign(&key, request.body.to_string().as_bytes());
    let hex: String = signed.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_outlives_a_kill_of_the_server() {
    let receiver = Receiver::start([503]).await;
    let server = launch(Database::Sqlite, &receiver).await.start().await;
    let ada = server.admin().await;
    break_down(&server, "a.log", 3).await;
    create(&ada, &errors("disks", 3, &["hook"])).await;
    // It was refused, and would be tried again in five seconds.
    let refused = receiver.until(1).await;
    let server = server.kill().await.start().await;
    let told = receiver.until(2).await;
    assert_eq!(told[0].body, told[1].body);
    assert_eq!(refused.len(), 1);
    let ada = server.sign_in("ada").await;
    assert_eq!(alerts(&ada, "").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_rule_is_said() {
    let receiver = Receiver::start([]).await;
    let server = launch(Database::Sqlite, &receiver).await.start().await;
    let ada = server.admin().await;
    let good = errors("disks", 3, &["hook"]);
    let with = |pointer: &str, value: Value| {
        let mut rule = good.clone();
        *rule.pointer_mut(pointer).unwrap() = value;
        rule
    };
    for (rule, code) in [
        (with("/name", json!(" ")), ErrorCode::ValidationFailed),
        (with("/name", json!("a\nb")), ErrorCode::ValidationFailed),
        (with("/channels", json!(["unknown"])), ErrorCode::ValidationFailed),
        (with("/condition/window_s", json!(5)), ErrorCode::ValidationFailed),
        (with("/condition/at_least", json!(0)), ErrorCode::ValidationFailed),
        (with("/condition/q", json!("(")), ErrorCode::InvalidQuery),
        (with("/condition/kind", json!("magic")), ErrorCode::InvalidJson),
        (with("/severity", json!("dire")), ErrorCode::InvalidJson),
    ] {
        let post = ada.request(Method::POST, "/alerts/rules").json(&rule);
        assert_eq!(ada.refused(post).await, (StatusCode::BAD_REQUEST, code), "{rule}");
    }
    let made = create(&ada, &good).await;
    let post = ada.request(Method::POST, "/alerts/rules").json(&good);
    assert_eq!(ada.refused(post).await, (StatusCode::CONFLICT, ErrorCode::Conflict));
    let other = create(&ada, &errors("other", 3, &[])).await;
    let path = format!("/alerts/rules/{}", other.id);
    let patch = ada.request(Method::PATCH, &path).json(&json!({ "name": "disks" }));
    assert_eq!(ada.refused(patch).await, (StatusCode::CONFLICT, ErrorCode::Conflict));
    let mute = ada.request(Method::POST, &format!("/alerts/rules/{}/mute", made.id));
    let refused = ada.refused(mute.json(&json!({ "for_s": 2_678_401 }))).await;
    assert_eq!(refused, (StatusCode::BAD_REQUEST, ErrorCode::ValidationFailed));
    for query in ["?limit=0", "?limit=201", "?cursor=x"] {
        let refused = ada.refused(ada.request(Method::GET, &format!("/alerts{query}"))).await;
        assert_eq!(refused, (StatusCode::BAD_REQUEST, ErrorCode::InvalidParameter), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_is_tried_before_it_is_a_rule() {
    let receiver = Receiver::start([]).await;
    let server = launch(Database::Sqlite, &receiver).await.start().await;
    let ada = server.admin().await;
    break_down(&server, "a.log", 3).await;
    let body = json!({ "condition": errors("", 3, &[])["condition"] });
    let outlook: AlertOutlook =
        read(ada.request(Method::POST, "/alerts/preview").json(&body)).await;
    assert_eq!((outlook.fired, outlook.times[0].finding.count), (1, 3));
    assert_eq!(alerts(&ada, "").await, [], "nothing has come of it");
    let unusual: LogAnomalies = ada.get("/logs/anomalies?window_s=600").await;
    assert_eq!((unusual.days, unusual.levels.len()), (0, 0));
}

/// A real mail server (aiosmtpd), which prints what it is given.
struct MailServer {
    child: Child,
    port: u16,
    said: Arc<Mutex<String>>,
}

impl MailServer {
    /// None without the clients of the tests.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    async fn start() -> Option<Self> {
        let Ok(folder) = std::env::var("CALLBOARD_TEST_CLIENTS") else {
            eprintln!("skipped: CALLBOARD_TEST_CLIENTS names no folder");
            return None;
        };
        // Taken by nobody else in between, in practice: the kernel gives the ports in turn.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new(format!("{folder}/venv/bin/python"))
            .args(["-u", "-m", "aiosmtpd", "-n", "-l", &format!("127.0.0.1:{port}")])
            .args(["-c", "aiosmtpd.handlers.Debugging", "stdout"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let said = Arc::<Mutex<String>>::default();
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|read| read > 0) {
                heard.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
            output.read_to_string(&mut line).ok();
        });
        let there = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        eventually(PATIENCE, there).await;
        Some(Self { child, port, said })
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_takes_a_notice_as_a_mail() {
    let Some(mail) = MailServer::start().await else { return };
    let config = format!(
        "[alerts]\nevery_s = 1\n\
         [alerts.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
         from = \"Callboard <callboard@example.org>\"\n\
         [[alerts.channels]]\nname = \"mail\"\nkind = \"email\"\n\
         to = [\"Operations <ops@example.org>\", \"ada@example.org\"]\n",
        mail.port
    );
    let server = Launch::on(Database::Sqlite).await.config(&config).start().await;
    let ada = server.admin().await;
    break_down(&server, "a.log", 3).await;
    create(&ada, &errors("disks", 3, &["mail"])).await;
    let whole = || mail.said.lock().unwrap().contains("END MESSAGE");
    eventually(PATIENCE, whole).await;
    let said = mail.said.lock().unwrap().clone();
    assert!(said.contains("Subject: FIRING [critical] disks"), "{said}");
    assert!(said.contains("From: Callboard <callboard@example.org>"), "{said}");
    assert!(said.contains("3 lines in 10 min; 3 are too many"), "{said}");
    assert!(said.contains("disk 2 is full") && !said.contains("hunter2"), "{said}");
}
