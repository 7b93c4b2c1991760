//! As much of HTTP/1.1 as a fake provider needs to read.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::RecordedRequest;

/// Far above any prompt of a test.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// Reads a request; `None` when the client has closed the connection instead. `rest` holds the
/// bytes that were read beyond the request before.
pub(crate) async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    rest: &mut Vec<u8>,
) -> io::Result<Option<RecordedRequest>> {
    let head_end = loop {
        if let Some(end) = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
        if !read_more(stream, rest).await? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
    rest.drain(..head_end);
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let line = first.rsplit_once(' ').map_or(first, |(line, _version)| line).to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    while rest.len() < length {
        if !read_more(stream, rest).await? {
            return Ok(None);
        }
    }
    let body: Vec<u8> = rest.drain(..length).collect();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Some(RecordedRequest { line, headers, body }))
}

async fn read_more(stream: &mut (impl AsyncRead + Unpin), rest: &mut Vec<u8>) -> io::Result<bool> {
    assert!(rest.len() < MAX_REQUEST_BYTES, "the request is larger than any test's");
    Ok(stream.read_buf(rest).await? > 0)
}
