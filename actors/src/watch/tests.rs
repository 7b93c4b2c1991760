use std::time::Duration;

use callboard_entities::queries;
use callboard_logs::IngestOptions;
use callboard_protocol::{
    Alert, AlertRule, AlertRuleChange, AlertSeverity, AlertState, ChannelKind, JobState, Mute,
    NewAlertRule, SourceId,
};
use callboard_testkit::Receiver;
use secrecy::SecretString;

use super::*;
use crate::{
    AlertsConfig, ChannelConfig,
    testing::{World, eventually, run},
};

/// A system that evaluates its rules every tenth of a second and tells a receiver.
async fn watching(receiver: &Receiver) -> World {
    let channel = ChannelConfig {
        name: "ops".into(),
        kind: ChannelKind::Webhook,
        webhook_url: Some(SecretString::from(receiver.url())),
        secret: None,
        token: None,
        to: Vec::new(),
    };
    let config = AlertsConfig { channels: vec![channel], ..AlertsConfig::default() };
    let world = World::start_with(|parts| {
        parts.alerts = config;
        parts.own_log = None;
    })
    .await;
    let shared = Arc::clone(world.system.shared());
    let seed = WatchSeed {
        jobs: world.system.jobs().clone(),
        every: Duration::from_millis(100),
        started: Instant::now(),
        stopping: CancellationToken::new(),
        shared,
    };
    let here = actix::Arbiter::current();
    let placement = crate::keeper::Placement::on(&here, MAILBOX);
    let keeper = world.system.keeper();
    drop(keeper.keep("watch:test", placement, move |_| Watch::new(seed)));
    world
}

/// Indexes so many lines of this level, of now.
fn log(world: &World, count: usize, level: &str) {
    let now = Timestamp::now();
    let text: String = (0..count).map(|n| format!("{now} {level} it broke {n}\n")).collect();
    let options = IngestOptions::whole(SourceId::new(), format!("{count}.log"), now);
    let go_on = &mut |_: &_| std::ops::ControlFlow::Continue(());
    world.logs.ingest_reader(text.as_bytes(), &options, go_on).unwrap();
}

async fn rule(world: &World, at_least: u64) -> AlertRule {
    let new = NewAlertRule {
        name: format!("{at_least} errors"),
        condition: AlertCondition::Threshold { q: "level:error".into(), window_s: 600, at_least },
        severity: AlertSeverity::Critical,
        channels: vec!["ops".into()],
    };
    world.system.alerts().create(world.user.id, new).await.unwrap()
}

async fn until_state(world: &World, rule: &AlertRule, state: AlertRuleState) -> AlertRule {
    eventually(async || {
        let rule = alerts::rule(&world.store, rule.id).await.unwrap();
        (rule.state == state).then_some(rule)
    })
    .await
}

async fn alerts_of(world: &World, rule: &AlertRule) -> Vec<Alert> {
    alerts::list(&world.store, (None, Some(rule.id)), None, 50).await.unwrap().items
}

#[test]
fn an_alert_is_told_once_when_it_fires_and_once_when_it_is_over() {
    run(async {
        let receiver = Receiver::start([]).await;
        let world = watching(&receiver).await;
        log(&world, 3, "ERROR");
        let rule = rule(&world, 3).await;
        let told = receiver.until(1).await;
        assert_eq!(told[0].body["event"], "alert.fired");
        assert_eq!(told[0].body["severity"], "critical");
        assert_eq!(told[0].body["alerts"][0]["count"], 3);
        let firing = alerts_of(&world, &rule).await;
        assert_eq!((firing.len(), firing[0].state), (1, AlertState::Firing));
        assert_eq!(told[0].body["alerts"][0]["id"], firing[0].id.to_string());

        // It goes on, and nobody is told again, not even over a panic of the actor.
        world.system.shared().trap.set("watch");
        let seen = firing[0].seen_at;
        eventually(async || {
            let alerts = alerts_of(&world, &rule).await;
            (alerts[0].seen_at > seen.plus(Duration::from_millis(300))).then_some(())
        })
        .await;
        assert_eq!(receiver.requests().len(), 1);

        // With the threshold out of reach it is over: silently, since somebody changed the rule.
        let condition =
            AlertCondition::Threshold { q: "level:error".into(), window_s: 600, at_least: 4 };
        let change = AlertRuleChange { condition: Some(condition), ..Default::default() };
        world.system.alerts().change(rule.id, change).await.unwrap();
        until_state(&world, &rule, AlertRuleState::Ok).await;
        let over = alerts_of(&world, &rule).await;
        assert_eq!((over[0].state, over[0].ended_at.is_some()), (AlertState::Resolved, true));
        log(&world, 5, "ERROR");
        let told = receiver.until(2).await;
        assert_eq!(
            (&told[1].body["event"], &told[1].body["alerts"][0]["count"]),
            (&"alert.fired".into(), &8.into())
        );
    });
}

#[test]
fn whoever_was_told_hears_when_it_is_over() {
    run(async {
        let receiver = Receiver::start([]).await;
        let world = watching(&receiver).await;
        log(&world, 1, "INFO");
        let rule = rule(&world, 1).await;
        until_state(&world, &rule, AlertRuleState::Ok).await;
        // What another node would have found.
        let finding = callboard_protocol::Finding {
            key: String::new(),
            summary: "1 line".into(),
            count: 1,
            expected: None,
            example: None,
        };
        let now = Timestamp::now();
        let found = Outcome::Found(vec![finding]);
        let settled = alerts::settle(&world.store, &rule, &found, now, |_, _| Ok(Vec::new()));
        assert_eq!(settled.await.unwrap().fired.len(), 1);
        let told = receiver.until(1).await;
        assert_eq!(told[0].body["event"], "alert.resolved");
        assert_eq!(told[0].body["alerts"][0]["state"], "resolved");
    });
}

#[test]
fn a_receiver_that_is_away_is_told_later_and_one_that_refuses_is_not() {
    run(async {
        let receiver = Receiver::start([503]).await;
        let world = watching(&receiver).await;
        log(&world, 3, "ERROR");
        rule(&world, 3).await;
        let told = receiver.until(2).await;
        assert_eq!(told[0].body, told[1].body, "the same notice, with the same id");
        let id = |request: &callboard_testkit::RecordedRequest| {
            request.headers.iter().find(|(name, _)| name == "x-callboard-notice").cloned()
        };
        assert!(id(&told[0]).is_some() && id(&told[0]) == id(&told[1]));
        let job = async || {
            let jobs = queries::jobs::list(&world.store, 10).await.unwrap();
            jobs.into_iter().find(|job| job.state.is_final())
        };
        let done = eventually(job).await;
        assert_eq!(
            (done.state, done.attempts, done.kind.as_str()),
            (JobState::Succeeded, 2, "notify")
        );

        let refusing = Receiver::start([404]).await;
        let world = watching(&refusing).await;
        log(&world, 3, "ERROR");
        rule(&world, 3).await;
        let refused = async || {
            let jobs = queries::jobs::list(&world.store, 10).await.unwrap();
            jobs.into_iter().find(|job| job.state.is_final())
        };
        let refused = eventually(refused).await;
        assert_eq!((refused.state, refused.attempts), (JobState::Failed, 1));
        assert_eq!(refused.error.unwrap().message, "It answered with status 404.");
    });
}

#[test]
fn a_muted_rule_tells_nobody_until_it_speaks_again() {
    run(async {
        let receiver = Receiver::start([]).await;
        let world = watching(&receiver).await;
        let rule = rule(&world, 3).await;
        let muted = world.system.alerts().mute(rule.id, Mute { for_s: 600 }).await.unwrap();
        assert!(muted.muted_until.is_some());
        log(&world, 3, "ERROR");
        until_state(&world, &rule, AlertRuleState::Firing).await;
        let alerts = alerts_of(&world, &rule).await;
        assert!(alerts[0].muted);
        assert_eq!(receiver.requests().len(), 0);
        world.system.alerts().mute(rule.id, Mute { for_s: 0 }).await.unwrap();
        let told = receiver.until(1).await;
        assert_eq!(told[0].body["alerts"][0]["id"], alerts[0].id.to_string(), "the same alert");
    });
}

#[test]
fn a_rule_that_is_off_is_not_evaluated() {
    run(async {
        let receiver = Receiver::start([]).await;
        let world = watching(&receiver).await;
        log(&world, 3, "ERROR");
        let (off, on) = (rule(&world, 3).await, rule(&world, 2).await);
        let change = AlertRuleChange { enabled: Some(false), ..Default::default() };
        let off = world.system.alerts().change(off.id, change).await.unwrap();
        assert_eq!(off.state, AlertRuleState::Off);
        let evaluated = until_state(&world, &on, AlertRuleState::Firing).await.evaluated_at;
        eventually(async || {
            let on = alerts::rule(&world.store, on.id).await.unwrap();
            (on.evaluated_at > evaluated).then_some(())
        })
        .await;
        let off = alerts::rule(&world.store, off.id).await.unwrap();
        assert_eq!(off.state, AlertRuleState::Off);
        let firing = alerts_of(&world, &off).await;
        assert!(firing.iter().all(|alert| alert.state == AlertState::Resolved), "{firing:?}");
    });
}
