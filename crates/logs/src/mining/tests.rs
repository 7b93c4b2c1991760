use proptest::prelude::*;

use super::*;

fn mined(messages: &[&str]) -> Vec<String> {
    let mut miner = Miner::default();
    let ids: Vec<PatternId> = messages.iter().map(|message| miner.observe(message)).collect();
    ids.into_iter().map(|id| miner.template(id).unwrap()).collect()
}

#[test]
fn values_are_known_by_their_looks() {
    for (message, template) in [
        ("took 15 ms", "took <*> ms"),
        ("read 6.3 KB of 1,024 KB", "read <*> of <*>,<*>"),
        ("from 10.0.0.1:22 to /10.0.0.2:80", "from <*> to <*>"),
        ("peer ::ffff:10.0.0.1, again", "peer <*>, again"),
        ("GET https://example.org/a?b=c, 200", "GET <*>, <*>"),
        ("opened /var/log/syslog.", "opened <*>."),
        ("block blk_-6952 of 0x1f and 9f2ca11d", "block <*> of <*> and <*>"),
        ("at Sat Jun 18 02:08:12 2005 by ann", "at <*> by ann"),
        ("Sep 12 at noon", "Sep <*> at noon"),
        ("ssh2 of node.example.org", "ssh2 of node.example.org"),
        ("user=ann uid=0 mail=ann@example.org", "user=ann uid=<*> mail=<*>"),
        ("connection () from init()", "connection (<*>) from init()"),
        ("deleting 1 2 3 4", "deleting <*>"),
        ("deleting 1, 2, 3", "deleting <*>"),
        ("pair 1 2", "pair <*> <*>"),
        ("", ""),
    ] {
        assert_eq!(mined(&[message]), [template], "{message}");
    }
}

#[test]
fn a_word_of_many_is_a_value_and_one_of_few_is_a_word() {
    let users = ["root", "ann", "bob", "eve", "guest", "oracle"];
    let logins: Vec<String> = users.iter().map(|name| format!("login of {name} failed")).collect();
    let logins: Vec<&str> = logins.iter().map(String::as_str).collect();
    assert_eq!(mined(&logins).last().unwrap(), "login of <*> failed");
    let states = ["service httpd is started", "service httpd is stopped"];
    assert_eq!(mined(&states), states);
}

#[test]
fn two_values_that_change_together_are_found() {
    let pairs: Vec<String> = ('a'..='h')
        .map(|c| format!("copying volume{c}{c} to backup of {c}{c}{c} has ended"))
        .collect();
    let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
    assert_eq!(mined(&pairs).last().unwrap(), "copying <*> to backup of <*> has ended");
}

#[test]
fn an_id_stays_valid_when_patterns_join() {
    let mut miner = Miner::default();
    let ids: Vec<PatternId> = ["ann", "bob", "eve", "kim", "lee"]
        .iter()
        .map(|name| miner.observe(&format!("session of user {name} is closed")))
        .collect();
    assert_eq!(miner.len(), 1);
    for id in &ids {
        assert_eq!(miner.resolve(*id), ids[0]);
        assert_eq!(miner.template(*id).unwrap(), "session of user <*> is closed");
    }
    assert_eq!(miner.template(PatternId(99)), None);
}

#[test]
fn what_was_learned_is_kept_and_goes_on() {
    let mut miner = Miner::default();
    for name in ["ann", "bob", "eve"] {
        miner.observe(&format!("session of user {name} is closed"));
    }
    let id = miner.observe("disk sda1 is full");
    let mut again = Miner::from_json(&miner.to_json().unwrap()).unwrap();
    assert!(again.patterns().eq(miner.patterns()));
    assert_eq!(again.observe("disk sda1 is full"), id);
    assert_eq!(again.observe("session of user zoe is closed"), PatternId(0));
    for broken in ["{}", "[]", r#"{"shapes":[],"joined":[1,1],"shape_of":[null,null],"rest":null}"#]
    {
        assert!(Miner::from_json(broken.as_bytes()).is_err(), "{broken}");
    }
}

#[test]
fn one_takes_in_what_another_has_learned() {
    let (mut one, mut other) = (Miner::default(), Miner::default());
    for name in ["ann", "bob", "eve"] {
        one.observe(&format!("session of user {name} is closed"));
        other.observe("disk sda1 is full");
        other.observe(&format!("session of user {name}x is closed"));
    }
    let became = one.absorb(&other);
    assert_eq!(became.len(), 2);
    let texts: Vec<String> = one.patterns().map(|(_, template)| template).collect();
    assert_eq!(texts, ["session of user <*> is closed", "disk sda1 is full"]);
}

#[test]
fn a_flood_of_nonsense_has_few_patterns() {
    let mut miner = Miner::default();
    let mut seed = 1_u64;
    let mut word = || {
        let letters = (0..5).map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'g' + u8::try_from((seed >> 33) % 20).unwrap())
        });
        letters.collect::<String>()
    };
    for _ in 0..5_000 {
        let message = format!("{} {} {}", word(), word(), word());
        miner.observe(&message);
    }
    assert!(miner.len() <= shape::MAX_TEMPLATES + 1, "{}", miner.len());
}

proptest! {
    #[test]
    fn any_text_has_a_pattern(texts in proptest::collection::vec("\\PC{0,80}", 1..40)) {
        let mut miner = Miner::default();
        let ids: Vec<PatternId> = texts.iter().map(|text| miner.observe(text)).collect();
        for id in ids {
            prop_assert!(miner.template(id).is_some());
            prop_assert!(miner.resolve(id) <= id);
        }
    }

    #[test]
    fn the_same_stream_gives_the_same_patterns(
        texts in proptest::collection::vec("[a-c]{1,2}( [a-c=:]{1,3}){0,4}", 1..60)
    ) {
        let run = || {
            let mut miner = Miner::default();
            let ids: Vec<PatternId> = texts.iter().map(|text| miner.observe(text)).collect();
            (ids, miner.patterns().collect::<Vec<_>>())
        };
        prop_assert_eq!(run(), run());
    }
}
