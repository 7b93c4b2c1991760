//! Channels that take a POST: webhooks, Slack, PagerDuty.

use std::time::Duration;

use aws_lc_rs::hmac;
use callboard_protocol::ChannelKind;
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{ChannelConfig, NotTold, NoticeKind, Told, ToldAlert};

/// The longest call.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where PagerDuty takes events (Events API v2).
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// The longest summary that PagerDuty takes, in bytes here and in characters there.
const LONGEST_SUMMARY: usize = 1_024;

/// What is never sent twice by mistake: Slack's limit of a text is 40,000 characters.
const LONGEST_TEXT: usize = 12_000;

/// The connections of all such channels. Redirects are not followed: they would carry the notice to
/// another place than the configured one.
pub(super) fn client() -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("callboard/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())
}

/// One such channel.
pub(super) struct Poster {
    http: reqwest::Client,
    url: SecretString,
    means: Means,
}

enum Means {
    Webhook { secret: Option<Box<hmac::Key>> },
    Slack,
    Pagerduty { key: SecretString },
}

impl Poster {
    /// None for a channel that is told by other means.
    pub(super) fn of(channel: &ChannelConfig, http: &reqwest::Client) -> Option<Self> {
        let url = channel.webhook_url.clone();
        let (url, means) = match channel.kind {
            ChannelKind::Webhook => {
                let key = |secret: &SecretString| {
                    Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes()))
                };
                (url, Means::Webhook { secret: channel.secret.as_ref().map(key) })
            }
            ChannelKind::Slack => (url, Means::Slack),
            ChannelKind::Pagerduty => {
                let own = || SecretString::from(PAGERDUTY);
                (Some(url.unwrap_or_else(own)), Means::Pagerduty { key: channel.token.clone()? })
            }
            ChannelKind::Email => return None,
        };
        Some(Self { http: http.clone(), url: url?, means })
    }

    pub(super) async fn tell(&self, told: &Told<'_>) -> Result<(), NotTold> {
        match &self.means {
            Means::Webhook { secret } => {
                let body = webhook(told).to_string();
                let signature = secret.as_ref().map(|key| {
                    let signed = hmac::sign(key, body.as_bytes());
                    let hex: String =
                        signed.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                    format!("sha256={hex}")
                });
                self.post(body, signature, &told.notice.id.to_string()).await
            }
            Means::Slack => {
                self.post(slack(told).to_string(), None, &told.notice.id.to_string()).await
            }
            Means::Pagerduty { key } => {
                for event in pagerduty(told, key.expose_secret()) {
                    self.post(event.to_string(), None, &told.notice.id.to_string()).await?;
                }
                Ok(())
            }
        }
    }

    async fn post(&self, body: String, signature: Option<String>, id: &str) -> Result<(), NotTold> {
        let mut request = self
            .http
            .post(self.url.expose_secret())
            .header("content-type", "application/json")
            .header("x-callboard-notice", id)
            .body(body);
        if let Some(signature) = signature {
            request = request.header("x-callboard-signature", signature);
        }
        let response = request.send().await.map_err(|error| {
            NotTold::for_now(if error.is_timeout() {
                "It did not answer within 10 seconds."
            } else {
                "It could not be reached."
            })
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let why = format!("It answered with status {}.", status.as_u16());
        let passes = status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        Err(if passes { NotTold::for_now(why) } else { NotTold::for_good(why) })
    }
}

fn event_of(told: &Told<'_>) -> &'static str {
    match told.notice.kind {
        NoticeKind::Fired => "alert.fired",
        NoticeKind::Resolved => "alert.resolved",
        NoticeKind::Test => "test",
    }
}

/// The body of a webhook: the product's own form.
fn webhook(told: &Told<'_>) -> Value {
    let notice = told.notice;
    let alert = |told: &ToldAlert<'_>| {
        let alert = told.alert;
        json!({
            "id": alert.id,
            "rule_id": alert.rule_id,
            "state": alert.state,
            "key": alert.finding.key,
            "summary": told.summary,
            "count": alert.finding.count,
            "expected": alert.finding.expected,
            "line_id": alert.finding.example,
            "example": told.example,
            "started_at": alert.started_at,
            "ended_at": alert.ended_at,
        })
    };
    json!({
        "version": 1,
        "id": notice.id,
        "event": event_of(told),
        "at": notice.at,
        "rule": notice.rule,
        "severity": notice.severity,
        "alerts": told.alerts.iter().map(alert).collect::<Vec<_>>(),
    })
}

/// The body for Slack and those who take the same. `&`, `<` and `>` are written as Slack wants it:
/// otherwise a log line could name people or whole channels, and make links.
fn slack(told: &Told<'_>) -> Value {
    let quoted = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // Two backticks in a row would end the block.
    let mut text = told.text().replace("``", "`\u{200b}`");
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    let title = quoted(&told.notice.title()).replace(['*', '_', '~', '`'], " ");
    let body = if text.is_empty() { String::new() } else { format!("\n```{}```", quoted(&text)) };
    // `mrkdwn` in the block only by our own words.
    json!({ "text": format!("*{title}*{body}"), "unfurl_links": false, "unfurl_media": false })
}

/// The events for PagerDuty: one for each alert, which is the same incident from its begin to its end.
fn pagerduty(told: &Told<'_>, key: &str) -> Vec<Value> {
    let notice = told.notice;
    let action = match notice.kind {
        NoticeKind::Fired | NoticeKind::Test => "trigger",
        NoticeKind::Resolved => "resolve",
    };
    let event = |dedup: String, summary: String, details: Value| {
        let mut summary = summary;
        summary.truncate(summary.floor_char_boundary(LONGEST_SUMMARY));
        json!({
            "routing_key": key,
            "event_action": action,
            "dedup_key": dedup,
            "payload": {
                "summary": summary,
                "source": "callboard",
                // Its names are ours.
                "severity": notice.severity,
                "timestamp": notice.at,
                "component": notice.rule,
                "custom_details": details,
            },
        })
    };
    if notice.kind == NoticeKind::Test {
        let mut resolve = event(notice.id.to_string(), notice.title(), json!({}));
        let trigger = resolve.clone();
        resolve["event_action"] = json!("resolve");
        return vec![trigger, resolve];
    }
    let of = |told: &ToldAlert<'_>| {
        let finding = &told.alert.finding;
        let details = json!({
            "key": finding.key,
            "count": finding.count,
            "expected": finding.expected,
            "line_id": finding.example,
            "example": told.example,
        });
        event(told.alert.id.to_string(), format!("{}: {}", notice.rule, told.summary), details)
    };
    told.alerts.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::told, *};

    #[test]
    fn a_log_line_cannot_act_in_slack() {
        let (notice, logs, _folder) = told("<!channel> ```*bold*``` <https://evil|click> & co");
        let body = slack(&Told::new(&notice, &logs));
        let text = body["text"].as_str().unwrap();
        assert!(!text.contains(['<', '>']), "{text}");
        assert_eq!(text.matches("```").count(), 2, "its own block alone: {text}");
        assert!(text.starts_with("*FIRING [error] many errors*\n"), "{text}");
        assert!(text.contains("&lt;!channel&gt;") && text.contains("&amp; co"), "{text}");
    }

    #[test]
    fn an_incident_is_the_same_from_its_begin_to_its_end() {
        let (mut notice, logs, _folder) = told("it broke");
        let fired = pagerduty(&Told::new(&notice, &logs), "K");
        notice.kind = NoticeKind::Resolved;
        let resolved = pagerduty(&Told::new(&notice, &logs), "K");
        assert_eq!((fired.len(), resolved.len()), (1, 1));
        assert_eq!(
            (&fired[0]["event_action"], &resolved[0]["event_action"]),
            (&json!("trigger"), &json!("resolve"))
        );
        assert_eq!(fired[0]["dedup_key"], resolved[0]["dedup_key"]);
        assert_eq!(fired[0]["routing_key"], "K");
        assert_eq!(fired[0]["payload"]["severity"], "error");
        let summary = fired[0]["payload"]["summary"].as_str().unwrap();
        assert!(summary.starts_with("many errors: ") && summary.len() <= LONGEST_SUMMARY);
    }

    #[test]
    fn secrets_do_not_leave() {
        let (notice, logs, _folder) =
            told("login failed password=hunter2hunter2 for ada@example.org");
        let told = Told::new(&notice, &logs);
        for body in [webhook(&told), slack(&told), json!(pagerduty(&told, "K"))] {
            let body = body.to_string();
            assert!(body.contains("login failed"), "{body}");
            assert!(!body.contains("hunter2") && !body.contains("ada@example.org"), "{body}");
        }
    }
}
