//! A provider of completions beside the server of the browser test, which `scripts/e2e` starts.
//!
//! It prints its base URL on stdout and refuses every question as overloaded, so that the server
//! falls back to its built-in provider, but for a question with the word `slowly`: that one is
//! answered in so many words over so long a time that a browser can leave in the middle. It ends
//! when its stdin is closed, and after ten minutes whatever happens.

use std::{
    io::{self, Write as _},
    thread,
    time::Duration,
};

use callboard_testkit::{FakeVendor, Reply};
use tokio::{sync::oneshot, time::timeout};

const LIFE: Duration = Duration::from_secs(600);

/// `t0 t1 … t59`; web/e2e/journey.mjs knows them.
const WORDS: usize = 60;

/// Between two words: about four seconds for all.
const DELAY: Duration = Duration::from_millis(70);

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let vendor = FakeVendor::start().await;
    vendor.choose(|request| {
        if request.question().contains("slowly") {
            Reply::tokens(WORDS).delay(DELAY)
        } else {
            Reply::error(503, "overloaded", "Only slow questions are answered here.")
        }
    });
    let mut stdout = io::stdout();
    writeln!(stdout, "{}", vendor.base_url())?;
    stdout.flush()?;

    let (closed, stdin_closed) = oneshot::channel();
    // A thread and not a task of the runtime, which would wait for it at the end.
    thread::spawn(move || {
        // An error ends the input as well as its end does.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = closed.send(());
    });
    let _ = timeout(LIFE, stdin_closed).await;
    Ok(())
}
