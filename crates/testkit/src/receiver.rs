//! Somebody who is told by HTTP: remembers what came, and answers as it is told to.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{PATIENCE, RecordedRequest, eventually_some, vendor::http::read_request};

/// A receiver of webhooks on a free port of this machine. It ends when it is dropped.
pub struct Receiver {
    url: String,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    requests: Vec<RecordedRequest>,
    /// What the next requests are answered with; 200 when there is nothing left.
    statuses: VecDeque<u16>,
}

impl Receiver {
    /// Starts one that answers the first requests with these statuses, and all others with 200.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(statuses: impl IntoIterator<Item = u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/notices", listener.local_addr().unwrap());
        let state = State { statuses: statuses.into_iter().collect(), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let serving = tokio::spawn(serve(listener, Arc::clone(&state)));
        Self { url, state, serving }
    }

    /// Where it takes notices.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What has come so far.
    ///
    /// # Panics
    /// When the receiver itself failed.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Waits until so many requests have come.
    ///
    /// # Panics
    /// When they do not.
    pub async fn until(&self, count: usize) -> Vec<RecordedRequest> {
        eventually_some(PATIENCE, async || {
            let requests = self.requests();
            (requests.len() >= count).then_some(requests)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, Arc::clone(&state)));
    }
}

async fn answer(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut rest = Vec::new();
    while let Ok(Some(request)) = read_request(&mut stream, &mut rest).await {
        let status = {
            let mut state = state.lock().unwrap();
            state.requests.push(request);
            state.statuses.pop_front().unwrap_or(200)
        };
        let response = format!("HTTP/1.1 {status} Told\r\ncontent-length: 2\r\n\r\nok");
        if stream.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}
