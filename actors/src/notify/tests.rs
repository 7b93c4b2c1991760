use callboard_logs::{IngestOptions, LogsConfig};
use callboard_protocol::{
    AlertId, AlertRuleId, AlertState, ChannelKind, Finding, LineId, SourceId,
};
use secrecy::SecretString;
use tempfile::TempDir;

use super::*;

/// A notice of one alert whose summary and example hold this text, and the index with the line.
pub(super) fn told(text: &str) -> (Notice, LogStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let logs = LogStore::open(folder.path(), &LogsConfig::default()).unwrap();
    let now = Timestamp::now();
    let options = IngestOptions::whole(SourceId::new(), "app.log", now);
    let line = format!("2026-11-27T03:00:00Z ERROR {text}\n");
    logs.ingest_reader(line.as_bytes(), &options, &mut |_| std::ops::ControlFlow::Continue(()))
        .unwrap();
    let finding = Finding {
        key: String::new(),
        summary: format!("2 lines like \"{text}\""),
        count: 2,
        expected: None,
        example: Some(LineId(1)),
    };
    let alert = Alert {
        id: AlertId::new(),
        rule_id: AlertRuleId::new(),
        state: AlertState::Firing,
        finding,
        muted: false,
        started_at: now,
        seen_at: now,
        ended_at: None,
    };
    let mut notice = Notice::test("ops", now);
    notice.kind = NoticeKind::Fired;
    notice.severity = AlertSeverity::Error;
    notice.rule = "many errors".to_owned();
    notice.alerts = vec![alert];
    (notice, logs, folder)
}

fn channel(kind: ChannelKind) -> ChannelConfig {
    ChannelConfig {
        name: "ops".into(),
        kind,
        webhook_url: None,
        secret: None,
        token: None,
        to: Vec::new(),
    }
}

fn problems(channel: ChannelConfig, smtp: Option<SmtpConfig>) -> Vec<String> {
    let config = AlertsConfig { channels: vec![channel], smtp, ..AlertsConfig::default() };
    config.check().into_iter().map(|(key, problem)| format!("{key} {problem}")).collect()
}

#[test]
fn a_title_says_what_how_grave_and_how_many() {
    let (mut notice, ..) = told("x");
    assert_eq!(notice.title(), "FIRING [error] many errors");
    notice.alerts.push(notice.alerts[0].clone());
    assert_eq!(notice.title(), "FIRING [error] many errors (2)");
    notice.kind = NoticeKind::Resolved;
    assert_eq!(notice.title(), "RESOLVED many errors (2)");
}

#[test]
fn a_notice_of_many_says_how_many_more() {
    let (mut notice, logs, _folder) = told("it broke");
    notice.alerts = vec![notice.alerts[0].clone(); 12];
    let text = Told::new(&notice, &logs).text();
    assert_eq!(text.matches("2 lines like").count(), 10);
    assert!(text.contains("    2026-11-27T03:00:00Z ERROR it broke\n"), "{text}");
    assert!(text.ends_with("… and 2 more\n"), "{text}");
}

#[test]
fn a_channel_says_what_it_lacks() {
    let smtp = || SmtpConfig {
        host: "localhost".into(),
        port: None,
        tls: SmtpTls::None,
        username: None,
        password: None,
        from: "Callboard <callboard@example.org>".into(),
    };
    let missing = [
        (channel(ChannelKind::Webhook), None, "channels[0].webhook_url is missing"),
        (channel(ChannelKind::Slack), None, "channels[0].webhook_url is missing"),
        (channel(ChannelKind::Pagerduty), None, "channels[0].token is missing"),
        (channel(ChannelKind::Email), Some(smtp()), "channels[0].to is missing"),
        (
            ChannelConfig { to: vec!["nobody".into()], ..channel(ChannelKind::Email) },
            Some(smtp()),
            "channels[0].to holds what is no e-mail address",
        ),
        (
            ChannelConfig { to: vec!["ops@example.org".into()], ..channel(ChannelKind::Email) },
            None,
            "channels[0].kind needs `alerts.smtp`",
        ),
        (
            ChannelConfig {
                webhook_url: Some(SecretString::from("ftp://example.org")),
                ..channel(ChannelKind::Webhook)
            },
            None,
            "channels[0].webhook_url must be",
        ),
        (
            ChannelConfig {
                webhook_url: Some(SecretString::from("https://example.org")),
                ..channel(ChannelKind::Webhook)
            },
            Some(SmtpConfig { from: "nobody".into(), ..smtp() }),
            "smtp.from is no e-mail address",
        ),
        (
            ChannelConfig { to: vec!["ops@example.org".into()], ..channel(ChannelKind::Email) },
            Some(SmtpConfig { username: Some("ada".into()), ..smtp() }),
            "smtp.username needs a password",
        ),
    ];
    for (channel, smtp, says) in missing {
        let problems = problems(channel, smtp);
        assert!(problems.len() == 1 && problems[0].starts_with(says), "{says}: {problems:?}");
    }
    let good = ChannelConfig { to: vec!["ops@example.org".into()], ..channel(ChannelKind::Email) };
    assert_eq!(problems(good, Some(smtp())), Vec::<String>::new());
}
