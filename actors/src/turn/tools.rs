//! What a model may call while it answers a question: searches and counts in the log engine.
//!
//! Each runs as the asking user, is bounded in lines and bytes, and shows as a `step`. Whatever goes
//! wrong (an unknown tool, arguments that cannot be read, a query with an error) is told to the model
//! as the result of its call, and never ends the turn. What a tool found stands between fences: it is
//! log text, and no instruction.

mod run;

use std::{collections::HashMap, sync::Arc, time::Duration};

use callboard_logs::LogStore;
use callboard_protocol::{LogLine, Permission, StepState};
use callboard_providers::{Message, Part, Role, ToolCall, ToolSpec, fence};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Running;
use crate::{rights::Rights, system::Shared, turn_log::TurnEvent};

/// The longest that one call may take; the model is told so.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What one call may give a model to read, in bytes.
const MAX_RESULT_BYTES: usize = 16 * 1024;

/// Calls in one reply of a model; further ones are answered with a refusal.
const MAX_CALLS: usize = 8;

/// A tool of the log engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tool {
    SearchLogs,
    CountLogs,
    Histogram,
    Patterns,
    CountBy,
    Compare,
    Anomalies,
    LineContext,
    ListSources,
}

/// What a call gave.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// For the model.
    pub(super) text: String,
    /// For people: one line.
    pub(super) summary: String,
    /// Lines that the model was shown: it may cite them.
    pub(super) lines: Vec<LogLine>,
    pub(super) is_error: bool,
}

impl Outcome {
    fn failed(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { summary: text.clone(), text, lines: Vec::new(), is_error: true }
    }
}

impl Tool {
    const ALL: [Self; 9] = [
        Self::SearchLogs,
        Self::CountLogs,
        Self::Histogram,
        Self::Patterns,
        Self::CountBy,
        Self::Compare,
        Self::Anomalies,
        Self::LineContext,
        Self::ListSources,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::SearchLogs => "search_logs",
            Self::CountLogs => "count_logs",
            Self::Histogram => "histogram",
            Self::Patterns => "patterns",
            Self::CountBy => "count_by",
            Self::Compare => "compare",
            Self::Anomalies => "anomalies",
            Self::LineContext => "line_context",
            Self::ListSources => "list_sources",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::SearchLogs => "Finds log lines and says how many match in all.",
            Self::CountLogs => {
                "Counts the log lines that match. With `of`, also counts what occurs in them, such \
                 as IP addresses or users, the most frequent first."
            }
            Self::Histogram => "Counts the log lines that match over time.",
            Self::Patterns => {
                "The patterns of the log lines that match: lines that differ only in their values \
                 share one. `rising` puts first what comes more often of late, `newest` what was \
                 first seen last. The lines of a pattern are found by the query pattern:P12."
            }
            Self::CountBy => {
                "Counts the log lines that match by level, source or pattern, or by the values of a \
                 field, such as status, path, user.id or any key of the lines; the largest groups \
                 first."
            }
            Self::Compare => {
                "Says what is different from `from` to `to` than in the span of the same length \
                 before: which patterns appeared, vanished, grew and shrank."
            }
            Self::Anomalies => {
                "Says what is unusual in the last minutes: levels and patterns with far more lines than \
                 at this time of other days, patterns that are new, and sources that fell silent."
            }
            Self::LineContext => "Shows a line between its neighbours in the same source.",
            Self::ListSources => "The log sources: name, number of lines, span of time.",
        }
    }

    fn parameters(self) -> Value {
        let query = json!({ "type": "string", "description": "Words that must all occur, \
            \"phrases\", -word to exclude, a OR b, parentheses, wor*, level:error, level>=warn, \
            source:name, pattern:P12, fields as in status>=500 and user.id=7. Empty finds \
            everything." });
        let at = |which: &str| {
            let description = format!("The {which} instant, as 2026-11-21T03:00:00Z or a date.");
            json!({ "type": "string", "description": description })
        };
        let object = |mut more: Value| {
            if let Some(fields) = more.as_object_mut() {
                fields.insert("query".into(), query.clone());
                fields.insert("from".into(), at("first"));
                fields.insert("to".into(), at("last"));
            }
            json!({ "type": "object", "properties": more, "required": ["query"],
                "additionalProperties": false })
        };
        match self {
            Self::SearchLogs => object(json!({
                "order": { "type": "string", "enum": ["newest", "best"] },
                "limit": { "type": "integer", "minimum": 1, "maximum": run::MAX_LINES },
            })),
            Self::CountLogs => object(json!({
                "of": { "type": "string", "description": "What to count, in plain words: IP addresses." },
            })),
            Self::Histogram => object(json!({})),
            Self::Patterns => object(json!({
                "order": { "type": "string", "enum": ["count", "rising", "newest"] },
            })),
            Self::CountBy => {
                let by = "level, source, pattern, or the name of a field.";
                let mut object = object(json!({ "by": { "type": "string", "description": by } }));
                object["required"] = json!(["query", "by"]);
                object
            }
            Self::Compare => {
                let mut object = object(json!({}));
                object["required"] = json!(["query", "from", "to"]);
                object
            }
            Self::Anomalies => json!({ "type": "object", "properties": {
                "query": query,
                "to": at("last"),
                "minutes": { "type": "integer", "minimum": 1, "maximum": 1_440 },
            }, "required": ["query"], "additionalProperties": false }),
            Self::LineContext => json!({ "type": "object", "properties": {
                "line": { "type": "string", "description": "The id of the line, as L123." },
                "around": { "type": "integer", "minimum": 1, "maximum": run::MAX_AROUND },
            }, "required": ["line"], "additionalProperties": false }),
            Self::ListSources => {
                json!({ "type": "object", "properties": {}, "additionalProperties": false })
            }
        }
    }
}

/// All tools, for a model.
pub(super) fn specs() -> Vec<ToolSpec> {
    let tools = Tool::ALL.iter();
    tools
        .map(|tool| ToolSpec {
            name: tool.name().to_owned(),
            description: Some(tool.description().to_owned()),
            parameters: (&tool.parameters()).into(),
            strict: None,
        })
        .collect()
}

/// The calls of one turn.
#[derive(Default)]
pub(super) struct Calls {
    /// What was called already, with which arguments, and what that gave.
    known: HashMap<(String, String), String>,
    /// Lines that the model was shown.
    pub(super) lines: Vec<LogLine>,
}

impl Calls {
    /// Runs the calls of a reply; their results, as the next message of the conversation.
    pub(super) async fn run(&mut self, running: &Running<'_>, calls: &[ToolCall]) -> Message {
        let mut content = Vec::with_capacity(calls.len());
        for (nth, call) in calls.iter().enumerate() {
            let asked = (call.name.clone(), call.arguments.clone());
            let (text, is_error) = if nth >= MAX_CALLS {
                (format!("No more than {MAX_CALLS} calls are answered at once."), true)
            } else if let Some(known) = self.known.get(&asked) {
                (format!("The same call was answered before:\n{known}"), false)
            } else {
                let outcome = run_one(running, call).await;
                self.lines.extend(outcome.lines);
                if !outcome.is_error {
                    self.known.insert(asked, outcome.text.clone());
                }
                (outcome.text, outcome.is_error)
            };
            let content_of = if is_error { text } else { fence("RESULT", &text) };
            content.push(Part::ToolResult { id: call.id.clone(), content: content_of, is_error });
        }
        Message { role: Role::Tool, content }
    }
}

/// Runs one call, with its steps.
async fn run_one(running: &Running<'_>, call: &ToolCall) -> Outcome {
    let Some(tool) = Tool::ALL.into_iter().find(|tool| tool.name() == call.name) else {
        let names: Vec<&str> = Tool::ALL.iter().map(|tool| tool.name()).collect();
        return Outcome::failed(format!("There is no such tool; there are {}.", names.join(", ")));
    };
    let step = |state, summary: String| {
        running.log.append(TurnEvent::Step { tool: tool.name(), state, summary });
    };
    step(StepState::Started, started(&call.arguments));
    let mut outcome = if running.rights.may(Permission::LogsRead) {
        let arguments = call.arguments.clone();
        let work = move |logs: &LogStore| run::run(tool, logs, &arguments);
        let done = in_engine(running.shared, running.rights, TIMEOUT, work).await;
        done.unwrap_or_else(|| Outcome::failed("The search took too long; narrow it down."))
    } else {
        Outcome::failed("The person who asks may not read logs.")
    };
    let end = outcome.text.floor_char_boundary(MAX_RESULT_BYTES);
    if end < outcome.text.len() {
        outcome.text.truncate(end);
        outcome.text.push_str("\n(cut here: narrow the search down for the rest)");
    }
    let state = if outcome.is_error { StepState::Failed } else { StepState::Done };
    step(state, outcome.summary.clone());
    outcome
}

/// What is looked for, for people.
fn started(arguments: &str) -> String {
    let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
    let words = ["query", "line", "of"].iter().filter_map(|key| arguments[*key].as_str());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let words = words.join(", ");
    words.chars().take(200).collect()
}

/// Runs `work` on the logs that `rights` let see, on a thread that may block, among a bounded number of others; `None` when it took
/// longer than `longest`, or broke off. A search that nobody waits for any more still takes its
/// place.
pub(crate) async fn in_engine<T: Send + 'static>(
    shared: &Shared,
    rights: &Rights,
    longest: Duration,
    work: impl FnOnce(&LogStore) -> T + Send + 'static,
) -> Option<T> {
    let logs = shared.logs.visible_to(&rights.readable());
    let permit = Arc::clone(&shared.searches).acquire_owned();
    let search = async {
        // The semaphore is never closed; and without its permit there is no search.
        let permit = permit.await.ok()?;
        let search = move || {
            let _permit = permit;
            work(&logs)
        };
        shared.runtime.spawn_blocking(search).await.ok()
    };
    timeout(longest, search).await.ok().flatten()
}

#[cfg(test)]
mod tests;
