//! What was measured, with the targets beside it.

use std::fmt::Write as _;

use super::{
    client::Ask,
    load::{Both, Run},
};
use crate::{options::Options, process::Usage, samples::Samples};

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// At full speed: connections, what was asked, and what came of it.
    pub(crate) full: Vec<(u32, Ask, Both)>,
    /// Those that come from the cache: connections, and what came of it.
    pub(crate) kept: Vec<(u32, Both)>,
    /// The paced streams.
    pub(crate) paced: Option<Both>,
}

/// One figure for which there is a target.
struct Verdict {
    what: String,
    target: f64,
    measured: f64,
    unit: &'static str,
    /// Whether the target is to be reached, not to be kept under.
    at_least: bool,
}

impl Results {
    pub(crate) fn markdown(mut self, options: &Options, idle: Usage) -> String {
        let tokens = options.gateway_tokens;
        let mut text = format!(
            "The server on one core; its upstream and the load generator on another. Requests of \
             the direct call and of ours; latencies in ms. Streams have {tokens} tokens.\n\n\
             | connections | | req/s direct | ours | p50 / p99 direct | added p50 / p99 | first \
             token added p50 / p99 | CPU µs per request | per token | RSS MB |\n\
             |---|---|---|---|---|---|---|---|---|---|\n"
        );
        let mut verdicts = Vec::new();
        let mut whole_cpu = 0.0;
        for (connections, ask, both) in &mut self.full {
            let per_answer = both.ours.cpu_per_answer();
            let whole = added(&mut both.direct.whole, &mut both.ours.whole);
            let first = added(&mut both.direct.first, &mut both.ours.first);
            let at = format!("{connections} at once");
            let judged = *connections == 1;
            let mut row = Row { per_token: "–".into(), first: "–".into(), kind: "whole" };
            if *ask == Ask::Whole {
                whole_cpu = per_answer;
                verdicts.push(Verdict::new(
                    format!("CPU per request, {at}"),
                    90.0,
                    per_answer,
                    "µs",
                ));
                if judged {
                    verdicts.push(Verdict::new("added p50, 1 connection", 0.15, whole.0, "ms"));
                    verdicts.push(Verdict::new("added p99, 1 connection", 0.3, whole.1, "ms"));
                }
            } else {
                let per_token = per_token(&both.ours);
                let beyond = (per_answer - whole_cpu) / f64::from(tokens);
                row.kind = "stream";
                row.per_token = format!("{per_token:.1} ({beyond:.1})");
                row.first = format!("{:.2} / {:.2}", first.0, first.1);
                verdicts.push(Verdict::new(format!("CPU per token, {at}"), 5.0, per_token, "µs"));
                if judged {
                    verdicts.push(Verdict::new("first token added, 1 stream", 0.3, first.0, "ms"));
                }
                verdicts.push(lost(&at, &both.ours, tokens));
            }
            row.write(&mut text, *connections, both, whole);
        }
        for (connections, both) in &mut self.kept {
            let whole = added(&mut both.direct.whole, &mut both.ours.whole);
            let row = Row { per_token: "–".into(), first: "–".into(), kind: "from the cache" };
            row.write(&mut text, *connections, both, whole);
            let what = format!("answers from the cache, {connections} at once");
            verdicts.push(Verdict::at_least(what, 15_000.0, both.ours.per_second(), "req/s"));
        }
        text.push_str(
            "\nPer token is the whole stream's CPU by its tokens; in brackets what a token adds to \
             an answer in one piece. The tokens behind the first come in one write.\n\n",
        );
        if let Some(paced) = &mut self.paced {
            paced_rows(&mut text, &mut verdicts, paced, options, idle);
        }
        let most = self.full.iter().map(|(_, _, both)| both.ours.rss_kb).max().unwrap_or_default();
        let _ = writeln!(text, "{:.1} MB of memory at most, at full speed.\n", mb(most));
        text.push_str("| figure | target | measured | |\n|---|---|---|---|\n");
        verdicts.iter().for_each(|verdict| verdict.write(&mut text));
        text
    }
}

fn paced_rows(
    text: &mut String,
    verdicts: &mut Vec<Verdict>,
    paced: &mut Both,
    options: &Options,
    idle: Usage,
) {
    let (streams, pace) = (options.gateway_streams, options.gateway_pace_ms);
    let direct = (paced.direct.first.millis(50), paced.direct.first.millis(99));
    let ours = (paced.ours.first.millis(50), paced.ours.first.millis(99));
    let _ = writeln!(
        text,
        "{streams} streams of {} tokens, {pace} ms apart: first token p50 / p99 {:.2} / {:.2} ms \
         directly, {:.2} / {:.2} ms through ours; {} tokens read; {:.1} µs of CPU per token, {:.0} % \
         of the core; {:.1} MB before any request, {:.1} MB at most then.\n",
        options.gateway_tokens,
        direct.0,
        direct.1,
        ours.0,
        ours.1,
        paced.ours.tokens,
        per_token(&paced.ours),
        paced.ours.cpu.as_secs_f64() / paced.ours.elapsed.as_secs_f64() * 100.0,
        mb(idle.rss_kb),
        mb(paced.ours.rss_kb),
    );
    let at = format!("{streams} paced streams");
    verdicts.push(Verdict::new(format!("CPU per token, {at}"), 5.0, per_token(&paced.ours), "µs"));
    verdicts.push(Verdict::new(
        format!("first token p99 added, {at}"),
        30.0,
        ours.1 - direct.1,
        "ms",
    ));
    verdicts.push(lost(&at, &paced.ours, options.gateway_tokens));
    verdicts.push(Verdict::new(format!("memory, {at}"), 60.0, mb(paced.ours.rss_kb), "MB"));
}

/// The cells of a row that its kind decides.
struct Row {
    kind: &'static str,
    per_token: String,
    first: String,
}

impl Row {
    fn write(&self, text: &mut String, connections: u32, both: &mut Both, added: (f64, f64)) {
        let direct = (both.direct.whole.millis(50), both.direct.whole.millis(99));
        let _ = writeln!(
            text,
            "| {connections} | {} | {:.0} | {:.0} | {:.2} / {:.2} | {:.2} / {:.2} | {} | {:.0} | {} \
             | {:.1} |",
            self.kind,
            both.direct.per_second(),
            both.ours.per_second(),
            direct.0,
            direct.1,
            added.0,
            added.1,
            self.first,
            both.ours.cpu_per_answer(),
            self.per_token,
            mb(both.ours.rss_kb),
        );
    }
}

impl Verdict {
    fn new(what: impl Into<String>, target: f64, measured: f64, unit: &'static str) -> Self {
        Self { what: what.into(), target, measured, unit, at_least: false }
    }

    fn at_least(what: impl Into<String>, target: f64, measured: f64, unit: &'static str) -> Self {
        Self { at_least: true, ..Self::new(what, target, measured, unit) }
    }

    fn write(&self, text: &mut String) {
        let Self { what, target, measured, unit, at_least } = self;
        let (sign, passes) =
            if *at_least { ('≥', measured >= target) } else { ('≤', measured <= target) };
        let verdict = if passes { "pass" } else { "**falls short**" };
        let _ = writeln!(
            text,
            "| {what} | {sign} {target} {unit} | {measured:.2} {unit} | {verdict} |"
        );
    }
}

fn lost(at: &str, run: &Run, tokens: u32) -> Verdict {
    let expected = u64::from(run.answers) * u64::from(tokens);
    // Counts of a run of minutes are exact as a float.
    let lost = expected.abs_diff(run.tokens) as f64;
    Verdict::new(format!("lost tokens, {at}, {} streams", run.answers), 0.0, lost, "tokens")
}

/// By how much p50 and p99 of ours are above the direct ones, in milliseconds.
fn added(direct: &mut Samples, ours: &mut Samples) -> (f64, f64) {
    (ours.millis(50) - direct.millis(50), ours.millis(99) - direct.millis(99))
}

fn per_token(run: &Run) -> f64 {
    run.cpu.as_secs_f64() * 1e6 / (run.tokens.max(1) as f64)
}

fn mb(kb: u64) -> f64 {
    kb as f64 * 1_024.0 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_stands_beside_its_target() {
        let text = |measured| {
            let mut text = String::new();
            Verdict::new("CPU", 90.0, measured, "µs").write(&mut text);
            text
        };
        assert_eq!(text(90.0), "| CPU | ≤ 90 µs | 90.00 µs | pass |\n");
        assert_eq!(text(90.5), "| CPU | ≤ 90 µs | 90.50 µs | **falls short** |\n");
    }

    #[test]
    fn a_token_that_did_not_come_is_lost() {
        let run = Run { answers: 2, tokens: 119, ..Run::default() };
        assert!((lost("", &run, 60).measured - 1.0).abs() < f64::EPSILON);
    }
}
