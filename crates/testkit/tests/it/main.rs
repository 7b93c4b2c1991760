//! The binary that `scripts/e2e` starts beside the server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};

/// The whole response to a question.
fn ask(authority: &str, question: &str) -> String {
    let body = format!(r#"{{"messages": [{{"role": "user", "content": "{question}"}}]}}"#);
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: fake";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut response = String::new();
    let mut reader = BufReader::new(stream);
    // A refusal is told by its first line; a stream by all up to its end.
    while reader.read_line(&mut response).unwrap() > 0 {
        if response.starts_with("HTTP/1.1 503") || response.ends_with("data: [DONE]\n") {
            break;
        }
    }
    response
}

#[test]
fn the_fake_vendor_answers_slow_questions_alone_and_ends_with_its_stdin() {
    let mut vendor = Command::new(env!("CARGO_BIN_EXE_fake-vendor"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(vendor.stdout.take().unwrap());
    let mut url = String::new();
    stdout.read_line(&mut url).unwrap();
    let authority = url.trim().strip_prefix("http://").unwrap().strip_suffix("/v1").unwrap();

    assert!(ask(authority, "why?").starts_with("HTTP/1.1 503"), "a question is refused");
    let answer = ask(authority, "why? answer slowly");
    assert!(answer.contains(r#""content":"t59 ""#), "a slow one is answered whole: {answer}");

    drop(vendor.stdin.take());
    // The end of its output is the end of the process: what waits here ends with the vendor's life.
    assert_eq!(stdout.read_to_end(&mut Vec::new()).unwrap(), 0, "it says nothing more");
    assert!(vendor.wait().unwrap().success());
}
