//! The table of `docs/wall.md`.

use std::fmt;

use super::{
    door::Door,
    fault::{Breaker, FAULTS},
    stage::Met,
};

const HEAD: &str = "\
# The wall of faults

Written by the test `wall::every_fault_ends_as_the_table_says`, which meets each fault over OpenAI's
and Anthropic's wire, through each door: a stream, a whole answer, a turn of a conversation. An
answer has 60 tokens and a prompt 10; `10 + 40` are tokens read and written, as they stand in the
ledger, which equals the vendor's own bill in each of these cases (`p` is a turn's prompt). Limits of
time are shorter here than by default. *Upstream calls* are those of the first and of the second
target. A breaker *counts* what speaks against its provider.

A whole answer has no first token before its last, so that `total_timeout_ms` bounds it.

| fault | OpenAI's client sees | Anthropic's client sees | a conversation sees | billed | first target's breaker | upstream calls |
|---|---|---|---|---|---|---|
";

const TAIL: &str = "
Tests of their own, in `tests/api/wall`, show the rest:

| what happens | what must hold |
|---|---|
| S15 a target that flaps | everybody is served, it is asked again soon after it is back, with at most one probe for each time that its breaker is open |
| all targets are out | the call waits for the first to recover, within `gateway.patience_ms` |
| the client leaves, in mid-stream or while it waits for a whole answer | the provider is left within 100 ms; what came until then is billed as `cancelled` |
| somebody leaves a conversation | the turn goes on |
| a reader stops reading | after `server.limits.stalled_reader_s` the connection is closed, the provider is left, and what came is billed |
| a slow reader of an endless stream | costs less than 1 MB; the provider writes no faster than is read |
";

/// What was seen, in rows.
pub(super) struct Table<'a> {
    met: &'a [Met],
}

impl<'a> Table<'a> {
    pub(super) fn of(met: &'a [Met]) -> Self {
        Self { met }
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        for fault in FAULTS {
            let all = || self.met.iter().filter(|met| met.lane.fault.id == fault.id);
            let through = |doors: &[Door], of: fn(&Met) -> String| {
                let met: Vec<&Met> = all().filter(|met| doors.contains(&met.lane.door)).collect();
                cell(&met, of)
            };
            let sees = |met: &Met| met.sees.to_string();
            writeln!(
                f,
                "| {} | {} | {} | {} | {} | {} | {} |",
                fault.title,
                through(&Door::ALL[..2], sees),
                through(&Door::ALL[2..4], sees),
                through(&Door::ALL[4..], sees),
                through(&Door::ALL, |met| met.billed.clone()),
                through(&Door::ALL, breaker),
                through(&Door::ALL, |met| format!("{} + {}", met.calls.0, met.calls.1)),
            )?;
        }
        f.write_str(TAIL)
    }
}

fn breaker(met: &Met) -> String {
    match met.breaker {
        Breaker::Counts => "counts it",
        Breaker::Closed => "does not",
        Breaker::KeyRests => "does not; the key rests",
        Breaker::ByDoor => "",
    }
    .to_owned()
}

/// One value where all agree, else each with those that it is of.
fn cell(met: &[&Met], of: fn(&Met) -> String) -> String {
    let mut values: Vec<(String, Vec<&Met>)> = Vec::new();
    for met in met {
        let value = of(met);
        match values.iter_mut().find(|(known, _)| *known == value) {
            Some((_, those)) => those.push(met),
            None => values.push((value, vec![met])),
        }
    }
    if let [(value, _)] = values.as_slice() {
        return value.clone();
    }
    let told = values.iter().map(|(value, those)| format!("{}: {value}", label(those, met)));
    told.collect::<Vec<_>>().join("; ")
}

/// Who has a value: kinds of answers, and the wire where it is of one only.
fn label(those: &[&Met], all: &[&Met]) -> String {
    let mut labels: Vec<String> = Vec::new();
    for kind in ["streamed", "whole", "turn"] {
        let of = |met: &&&Met| kind_of(met.lane.door) == kind;
        let some: Vec<_> = those.iter().filter(of).collect();
        let every = all.iter().filter(of).count();
        if some.len() == every && every > 0 {
            labels.push(kind.to_owned());
            continue;
        }
        for met in some {
            labels.push(format!("{kind} of {} over {}", met.lane.door.short(), met.lane.wire));
        }
    }
    labels.join(", ")
}

fn kind_of(door: Door) -> &'static str {
    match door {
        Door::Turn => "turn",
        door if door.is_streamed() => "streamed",
        _ => "whole",
    }
}
