//! Queries are read, printed back, and refused with a column.

use proptest::prelude::*;

use super::*;
use crate::SearchError;

fn printed(query: &str) -> String {
    parse(query).unwrap().to_string()
}

fn refused(query: &str) -> (usize, String) {
    let SearchError::InvalidQuery { column, message } = parse(query).unwrap_err() else {
        panic!("another error for {query}");
    };
    (column, message)
}

#[test]
fn queries_print_as_they_read() {
    for query in [
        "",
        "refused",
        "refused 10.0.0.1",
        "\"connection refused\" -debug",
        "-\"keep alive\"",
        "level:error source:auth.log",
        "level>=warn",
        "a OR b",
        "(a b) OR c",
        "x (a OR b)",
        "source:\"my file\"",
        "status>=500 user.id=7",
        "user.name=ad* trace_id=*",
        "refus* re?used",
        "/time[d ]*out/",
        "a=\"b c\"",
    ] {
        assert_eq!(printed(query), query);
    }
}

#[test]
fn or_binds_closer_than_standing_side_by_side() {
    assert_eq!(printed("x a OR b OR c y"), "x (a OR b OR c) y");
    assert_eq!(printed("ORDER BY"), "ORDER BY");
}

#[test]
fn levels_have_operators_and_other_names() {
    assert_eq!(printed("level:err"), "level:error");
    assert_eq!(printed("level>warn"), "level>=error");
    assert_eq!(printed("level<trace"), "level:unknown");
    assert_eq!(printed("leveller"), "leveller");
}

#[test]
fn pasted_log_text_is_searched_as_it_is() {
    assert_eq!(parse("pam_unix(sshd:auth):").unwrap(), Clause::text("pam_unix(sshd:auth):"));
    assert_eq!(parse("workerEnv.init()").unwrap(), Clause::text("workerEnv.init()"));
}

#[test]
fn errors_name_the_column() {
    assert_eq!(refused("ä \"open"), (3, "this \" is not closed".into()));
    assert_eq!(refused("a level:loud").0, 3);
    assert_eq!(refused("a ?!").0, 3);
    assert_eq!(refused("a -").0, 3);
    assert_eq!(refused("(a").0, 1);
    assert_eq!(refused("a OR").1, "there is nothing after OR");
    assert_eq!(refused("OR a").1, "there is nothing before OR");
    assert_eq!(refused("a ()").0, 3);
    assert_eq!(refused("source:").0, 1);
}

#[test]
fn queries_are_bounded() {
    assert!(refused(&"a".repeat(5000)).1.contains("4096"));
    assert!(refused(&"a ".repeat(200)).1.contains("128"));
    assert!(refused(&"(".repeat(50)).1.contains("nested"));
}

#[test]
fn what_is_excluded_twice_prints_to_the_same() {
    assert_eq!(printed("-(-a)"), "-(-a)");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(query in "\\PC{0,100}") {
        let _ = parse(&query);
    }

    #[test]
    fn what_is_read_prints_to_the_same(query in "[ab1(\\-\") :><=*?/.\\[\\]]{0,20}( OR | level:| source:|status:|[0-9] TO )?[ab\" \\]*/]{0,6}") {
        if let Ok(clause) = parse(&query) {
            prop_assert_eq!(parse(&clause.to_string()).unwrap(), clause);
        }
    }
}
