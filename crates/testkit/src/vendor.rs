//! A provider that does as a script says, faults included, on every wire that Callboard speaks:
//! chat completions, responses, Anthropic messages, Ollama, Gemini, Azure, and embeddings. The wire
//! is known by the path of the request.
//!
//! It speaks HTTP/1.1 on plain TCP, by hand: a broken provider breaks below HTTP. It keeps a bill
//! of its own, against which a ledger can be held.

mod billing;
mod embeddings;
pub(crate) mod http;
mod reply;
mod serve;
mod speak;
mod wire;

use std::{
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

pub use self::{billing::Billed, reply::Reply, wire::VendorWire};
use crate::PATIENCE;

/// A fake provider on a port of its own; it ends when it is dropped.
///
/// Each request takes the next reply of the script; when the script has ended, every request gets
/// the reply of [`FakeVendor::always`] or [`FakeVendor::choose`], which is a short answer unless it
/// was set.
#[derive(Debug)]
pub struct FakeVendor {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// The method and the path: `POST /v1/chat/completions`.
    pub line: String,
    /// The headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; `null` when it is not JSON.
    pub body: Value,
}

impl RecordedRequest {
    /// The first header of this name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The text of the last message: the question with its evidence.
    #[must_use]
    pub fn question(&self) -> &str {
        let messages = ["messages", "input", "contents"].iter().find_map(|name| {
            let list = self.body[*name].as_array()?;
            list.last()
        });
        let Some(message) = messages else { return "" };
        let content = message.get("content").or_else(|| message.get("parts")).unwrap_or(message);
        let part = || content.as_array()?.iter().rev().find_map(|part| part["text"].as_str());
        content.as_str().or_else(part).unwrap_or_default()
    }

    /// The wire that it speaks.
    #[must_use]
    pub fn wire(&self) -> VendorWire {
        VendorWire::of(&self.line)
    }
}

/// How often things have happened.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    connections: usize,
    /// Of the connections, those that are open now.
    open: usize,
    requests: usize,
    /// Replies written to the end that the script gives them.
    finished: usize,
    /// Clients that left before that.
    left: usize,
    /// Requests that wait at a closed gate.
    held: usize,
}

#[derive(Debug)]
struct Shared {
    script: Mutex<Script>,
    counts: watch::Sender<Counts>,
    held: watch::Sender<bool>,
}

struct Script {
    next: VecDeque<Reply>,
    beyond: Box<dyn Fn(&RecordedRequest) -> Reply + Send>,
    requests: Vec<RecordedRequest>,
    /// Cleared by [`FakeVendor::forget_requests`].
    keeps_requests: bool,
    bill: Vec<Billed>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("next", &self.next)
            .field("requests", &self.requests)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    /// Records a request and gives its reply, with the number of the request.
    fn accept(&self, request: &RecordedRequest) -> (usize, Reply) {
        let mut script = self.script();
        let reply = script.next.pop_front().unwrap_or_else(|| (script.beyond)(request));
        if script.keeps_requests {
            script.requests.push(request.clone());
        }
        drop(script);
        let mut number = 0;
        self.count(|counts| {
            number = counts.requests;
            counts.requests += 1;
        });
        (number, reply)
    }

    fn bill(&self, billed: Billed) {
        self.script().bill.push(billed);
    }
}

impl FakeVendor {
    /// Numbers in the vectors of its embeddings, unless the request asks for another count.
    pub const VECTOR: usize = 64;

    /// Starts one on the current runtime.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let all_is_well = Reply::text(&["All", " is", " well", "."]);
        let shared = Arc::new(Shared {
            script: Mutex::new(Script {
                next: VecDeque::new(),
                beyond: Box::new(move |_| all_is_well.clone()),
                requests: Vec::new(),
                keeps_requests: true,
                bill: Vec::new(),
            }),
            counts: watch::Sender::new(Counts::default()),
            held: watch::Sender::new(false),
        });
        let server = tokio::spawn(accept_all(listener, Arc::clone(&shared)));
        Self { address, shared, server }
    }

    /// What to configure as `base_url`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The same for an Ollama server or a resource of Azure, whose paths begin at the host.
    #[must_use]
    pub fn root_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was used so far, in the order in which the replies ended. A reply stands here before
    /// [`FakeVendor::until_finished`] or [`FakeVendor::until_left`] counts it.
    #[must_use]
    pub fn billed(&self) -> Vec<Billed> {
        self.shared.script().bill.clone()
    }

    /// Adds replies to the script, one for each request to come.
    pub fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.script().next.extend(replies);
    }

    /// Sets the reply to every request beyond the script.
    pub fn always(&self, reply: Reply) {
        self.choose(move |_| reply.clone());
    }

    /// Sets what chooses the reply to a request beyond the script.
    pub fn choose(&self, reply: impl Fn(&RecordedRequest) -> Reply + Send + 'static) {
        self.shared.script().beyond = Box::new(reply);
    }

    /// Closes the gate: replies wait there until [`FakeVendor::release`]. The gate stands before
    /// the first byte, or where [`Reply::gate_after`] puts it.
    pub fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    /// Opens the gate.
    pub fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.script().requests.clone()
    }

    /// How many requests have come so far.
    #[must_use]
    pub fn request_count(&self) -> usize {
        self.shared.counts.borrow().requests
    }

    /// Keeps no requests from now on: for tests with so many that they would fill the memory.
    pub fn forget_requests(&self) {
        let mut script = self.shared.script();
        script.keeps_requests = false;
        script.requests.clear();
    }

    /// How many requests have no reply yet, or not to its end, and nobody has left them.
    #[must_use]
    pub fn running_count(&self) -> usize {
        let counts = self.shared.counts.borrow();
        counts.requests - counts.finished - counts.left
    }

    /// How many connections are open now.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.shared.counts.borrow().open
    }

    /// How many connections were opened so far.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.shared.counts.borrow().connections
    }

    /// Waits until `count` requests have come in all.
    pub async fn until_requests(&self, count: usize) {
        self.until("requests", |counts| counts.requests >= count).await;
    }

    /// Waits until `count` requests wait at the gate.
    pub async fn until_held(&self, count: usize) {
        self.until("held requests", |counts| counts.held >= count).await;
    }

    /// Waits until `count` replies were written to the end that the script gives them.
    pub async fn until_finished(&self, count: usize) {
        self.until("finished replies", |counts| counts.finished >= count).await;
    }

    /// Waits until `count` clients have left before their reply's end.
    pub async fn until_left(&self, count: usize) {
        self.until("clients to leave", |counts| counts.left >= count).await;
    }

    async fn until(&self, what: &str, condition: impl FnMut(&Counts) -> bool) {
        let mut counts = self.shared.counts.subscribe();
        let held = timeout(PATIENCE, counts.wait_for(condition)).await.is_ok();
        assert!(held, "waited in vain for {what}: {:?}", *self.shared.counts.borrow());
    }
}

impl Drop for FakeVendor {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept_all(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and its connections with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.count(|counts| {
            counts.connections += 1;
            counts.open += 1;
        });
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            serve::serve(stream, Arc::clone(&shared)).await;
            shared.count(|counts| counts.open -= 1);
        });
        while connections.try_join_next().is_some() {}
    }
}
