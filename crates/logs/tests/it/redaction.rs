//! Redaction from outside: what is replaced, what stays, and that everything comes back.

mod cases;
mod clean;

use callboard_logs::{Redactor, Restorer};
use proptest::prelude::*;

/// The text with placeholders; panics unless it comes back, and unless a second look finds nothing.
fn redacted(text: &str) -> String {
    let mut redactor = Redactor::new();
    let out = redactor.redact(text).into_owned();
    assert_eq!(redactor.restore(&out), text, "restored from {out}");
    assert_eq!(Redactor::new().redact(&out), out, "redacted twice");
    out
}

fn streamed(mut restorer: Restorer, text: &str, cuts: &[usize]) -> String {
    let mut shown = String::new();
    let mut start = 0;
    for end in cuts.iter().copied().chain([text.len()]) {
        if end >= start && text.is_char_boundary(end) {
            shown += &restorer.push(&text[start..end]);
            start = end;
        }
    }
    shown + &restorer.finish()
}

#[test]
fn the_table_of_examples() {
    let all: Vec<(String, String)> = cases::all();
    assert!(all.len() >= 80, "{}", all.len());
    let wrong: Vec<String> = all
        .iter()
        .filter(|(text, expected)| redacted(text) != *expected)
        .map(|(text, expected)| format!("{text}\n  is   {}\n  not  {expected}", redacted(text)))
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn lines_of_logs_stay_as_they_are() {
    let touched: Vec<String> = clean::LINES
        .iter()
        .map(|line| (*line, redacted(line)))
        .filter(|(line, out)| line != out)
        .map(|(line, out)| format!("{line}\n  -> {out}"))
        .collect();
    assert!(touched.is_empty(), "{}", touched.join("\n"));
    let all = clean::LINES.join("\n");
    assert!(matches!(Redactor::new().redact(&all), std::borrow::Cow::Borrowed(_)));
}

#[test]
fn a_value_has_one_placeholder_in_all_texts() {
    let mut redactor = Redactor::new();
    assert_eq!(
        redactor.redact("from a@example.com to b@example.com"),
        "from <EMAIL_1> to <EMAIL_2>"
    );
    assert_eq!(redactor.redact("b@example.com, c@example.com"), "<EMAIL_2>, <EMAIL_3>");
    assert_eq!(redactor.redact("password=hunter22"), "password=<PASSWORD_1>");
    assert_eq!(redactor.redact("ftp://u:hunter22@h/"), "ftp://u:<PASSWORD_1>@h/");
    let counts: Vec<_> = redactor.counts().collect();
    assert_eq!(counts, [("password", 1), ("email", 3)]);
    assert_eq!(redactor.restore("`<EMAIL_3>` wrote"), "`c@example.com` wrote");
}

#[test]
fn text_of_the_form_of_a_placeholder_is_text() {
    // Before its number is given out: the number is passed over.
    let mut redactor = Redactor::new();
    let out = redactor.redact("what is <EMAIL_1>? and [email_3]? I am a@example.com").into_owned();
    assert_eq!(out, "what is <EMAIL_1>? and [email_3]? I am <EMAIL_2>");
    assert_eq!(redactor.redact("b@example.com"), "<EMAIL_4>");
    assert_eq!(redactor.restore(&out), "what is <EMAIL_1>? and [email_3]? I am a@example.com");
    // After it: the text gets a placeholder of its own.
    let out = redactor.redact("<EMAIL_2> and &lt;EMAIL_4&gt;").into_owned();
    assert_eq!(out, "<LITERAL_1> and <LITERAL_2>");
    assert_eq!(redactor.restore(&out), "<EMAIL_2> and &lt;EMAIL_4&gt;");
    assert_eq!(redactor.counts().collect::<Vec<_>>(), [("email", 2)]);
}

#[test]
fn what_a_model_made_up_stays() {
    let mut redactor = Redactor::new();
    let _ = redactor.redact("a@example.com");
    for text in
        ["<EMAIL_2>", "<CARD_1>", "EMAIL_1", "<EMAIL_01>", "<b>EMAIL</b>", "a < b", "<EMAIL_"]
    {
        assert_eq!(redactor.restore(text), text);
        assert_eq!(streamed(redactor.restorer(), text, &[1, 3, 5]), text);
    }
    for text in
        ["<EMAIL_1>", "<email_1>", "<EMAIL\\_1>", "\\<EMAIL_1\\>", "[EMAIL_1]", "&lt;EMAIL_1&gt;"]
    {
        assert_eq!(redactor.restore(text), "a@example.com", "{text}");
    }
    assert_eq!(
        redactor.restore("[<EMAIL_1>](mailto:<EMAIL_1>)"),
        "[a@example.com](mailto:a@example.com)"
    );
}

#[test]
fn little_is_held_back() {
    let mut redactor = Redactor::new();
    let _ = redactor.redact("a@example.com");
    let mut restorer = redactor.restorer();
    assert_eq!(restorer.push("see <EM"), "see ");
    assert_eq!(restorer.push("ph> and <"), "<EMph> and ");
    assert_eq!(restorer.push("EMAIL"), "");
    assert_eq!(restorer.push("_1"), "");
    assert_eq!(restorer.push("> x"), "a@example.com x");
    assert_eq!(restorer.push("1 < 2 [3]"), "1 < 2 [3]");
    assert_eq!(restorer.push(" <EMAIL_1"), " ");
    assert_eq!(restorer.finish(), "<EMAIL_1");
    assert_eq!(Redactor::new().restorer().push("a <"), "a <", "nothing to wait for");
}

#[test]
fn no_value_is_in_debug_output() {
    let mut redactor = Redactor::new();
    let _ = redactor.redact("password=hunter22 a@example.com");
    let shown = format!("{redactor:?} {redactor:#?} {:?}", redactor.restorer());
    assert!(!shown.contains("hunter") && !shown.contains("example"), "{shown}");
    assert!(shown.contains(r#"{"password": 1, "email": 1}"#), "{shown}");
}

#[test]
fn beyond_the_bounds_nothing_leaks() {
    let mut redactor = Redactor::new();
    let text: String = (0..5_000).map(|n| format!("user{n}@example.com\n")).collect();
    let out = redactor.redact(&text).into_owned();
    assert!(!out.contains('@'));
    assert!(out.contains("<EMAIL_4096>\n<EMAIL_REDACTED>\n"));
    assert_eq!(redactor.counts().collect::<Vec<_>>(), [("email", 5_000)]);

    let mut redactor = Redactor::new();
    let long = format!("password=\"{}\" x", "aB3 ".repeat(40_000));
    let out = redactor.redact(&long).into_owned();
    assert!(out == "password=\"<PASSWORD_REDACTED>\" x", "{} bytes", out.len());
}

/// Pieces that texts are made of, so that chance meets the rules.
fn piece() -> impl Strategy<Value = String> {
    let pieces: Vec<String> = cases::all().into_iter().map(|(text, _)| text).collect();
    let marks = [
        "<",
        ">",
        "[",
        "]",
        "\\",
        "_1",
        "<EMAIL_1>",
        "\\<EMAIL_1\\>",
        "[KEY_1]",
        "<LITERAL_1>",
        "&lt;",
        "EMAIL_1",
        "password=",
        "token: ",
        "\"",
        "'",
        "@",
        ".com",
        "+49",
        "://",
        "u:p@",
        " ",
        "\n",
        "-",
        "Bearer ",
        "Cookie: ",
        "Authorization: ",
        "4111 1111 1111 1111",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "ä",
        "€",
        "eyJ",
        "a@b.co",
        "key=",
        "\\\"",
        "{",
        "}",
        "=",
        ";",
        "***",
    ];
    prop_oneof![
        3 => proptest::sample::select(marks.to_vec()).prop_map(str::to_owned),
        1 => proptest::sample::select(pieces),
        1 => "\\PC{0,6}",
        1 => "[a-zA-Z0-9._=:/+-]{1,24}",
    ]
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::collection::vec(piece(), 0..14).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everything_comes_back(first in texts(), second in texts()) {
        let mut redactor = Redactor::new();
        let one = redactor.redact(&first).into_owned();
        let two = redactor.redact(&second).into_owned();
        prop_assert_eq!(redactor.restore(&one), first);
        prop_assert_eq!(redactor.restore(&two), second);
    }

    #[test]
    fn redacting_twice_changes_nothing_more(text in texts()) {
        let out = Redactor::new().redact(&text).into_owned();
        let again = Redactor::new().redact(&out).into_owned();
        prop_assert_eq!(again, out);
    }

    #[test]
    fn any_split_restores_to_the_same(text in texts(), cuts in proptest::collection::vec(0_usize..200, 0..12)) {
        let mut redactor = Redactor::new();
        let out = redactor.redact(&text).into_owned();
        let mut cuts = cuts;
        cuts.sort_unstable();
        cuts.retain(|cut| *cut <= out.len());
        prop_assert_eq!(streamed(redactor.restorer(), &out, &cuts), text);
    }

    #[test]
    fn any_split_of_any_answer_is_the_same(text in texts(), cuts in proptest::collection::vec(0_usize..200, 0..12)) {
        let mut redactor = Redactor::new();
        let _ = redactor.redact("a@example.com password=hunter22");
        let mut cuts = cuts;
        cuts.sort_unstable();
        cuts.retain(|cut| *cut <= text.len());
        prop_assert_eq!(streamed(redactor.restorer(), &text, &cuts), redactor.restore(&text));
    }
}
