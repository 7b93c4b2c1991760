//! Receives an upload into a spool file.
//!
//! The body is the file as it is; a form around it, or a packed body, is refused, because it would
//! be indexed as if it were log text. The body goes to the disk piece by piece: memory holds one piece at a time. It is bounded in
//! size, in the pause between two pieces, and in how many run at once. The file disappears with the
//! [`Spool`] unless it was handed over to a job, so that a client that leaves in the middle leaves
//! nothing behind.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use actix_web::{
    HttpRequest,
    http::header::{self, ContentLength, Header},
    web,
};
use callboard_protocol::{ErrorCode, RequestId};
use futures_util::StreamExt;
use tokio::{fs::File, io::AsyncWriteExt};

use crate::{ApiError, edge::State};

/// How a file is sent, in the words of the tool that most people have.
const HOW_TO_SEND: &str = "send the file itself as the body: curl --data-binary @app.log \
    -H 'Authorization: Bearer TOKEN' 'https://HOST/api/v1/logs/upload?name=app.log'";

/// A received file.
pub(crate) struct Spool {
    /// `None` once it was handed over.
    path: Option<PathBuf>,
    place: PathBuf,
    bytes: u64,
}

impl Spool {
    /// An empty file of a new name.
    async fn create(folder: &Path) -> Result<(Self, File), ApiError> {
        let place = folder.join(format!("{}.upload", RequestId::new()));
        let file = File::create_new(&place).await.map_err(ApiError::internal)?;
        Ok((Self { path: Some(place.clone()), place, bytes: 0 }, file))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.place
    }

    /// How long it is.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// From now on somebody else deletes it.
    pub(crate) fn hand_over(mut self) {
        self.path = None;
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::warn!(path = %path.display(), %error, "cannot delete an upload");
        }
    }
}

/// The bounds of an upload.
#[derive(Clone, Copy)]
struct Bounds {
    bytes: u64,
    idle: Duration,
}

/// Receives a whole body.
pub(crate) async fn receive(
    state: &State,
    request: &HttpRequest,
    body: web::Payload,
) -> Result<Spool, ApiError> {
    check_kind(request)?;
    let announced = ContentLength::parse(request).ok();
    let limits = state.edge().config().limits;
    if announced.is_some_and(|length| length.0 as u64 > limits.upload_bytes) {
        return Err(too_large(limits.upload_bytes));
    }
    let _turn = state.edge().uploads().try_acquire().map_err(|_| {
        ApiError::new(ErrorCode::Overloaded, "too many uploads are running")
            .retry_after(Duration::from_secs(5))
    })?;
    let bounds =
        Bounds { bytes: limits.upload_bytes, idle: Duration::from_secs(limits.upload_idle_s) };
    let pieces = body.map(|piece| piece.map_err(ApiError::from));
    write(&state.uploads, bounds, std::pin::pin!(pieces)).await
}

/// Whether the body can be the file itself. Any content type is taken but a form's: few clients
/// know the type of a log, and `curl --data-binary` calls everything a form of the other kind.
fn check_kind(request: &HttpRequest) -> Result<(), ApiError> {
    let value = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let refuse = |what: &str| {
        let message = format!("{what}; {HOW_TO_SEND}");
        Err(ApiError::new(ErrorCode::UnsupportedMediaType, message))
    };
    let kind = value(header::CONTENT_TYPE).unwrap_or_default().trim().to_ascii_lowercase();
    if kind.starts_with("multipart/") {
        return refuse("a form (multipart, curl -F) is not read here");
    }
    let packed = value(header::CONTENT_ENCODING).unwrap_or("identity").trim();
    if !packed.eq_ignore_ascii_case("identity") {
        return refuse("a compressed body is not read here; decompress the file");
    }
    Ok(())
}

fn too_large(limit: u64) -> ApiError {
    ApiError::new(ErrorCode::PayloadTooLarge, format!("an upload has at most {limit} bytes"))
}

async fn write(
    folder: &Path,
    bounds: Bounds,
    mut pieces: impl futures_util::Stream<Item = Result<bytes::Bytes, ApiError>> + Unpin,
) -> Result<Spool, ApiError> {
    let (mut spool, mut file) = Spool::create(folder).await?;
    loop {
        let piece = tokio::time::timeout(bounds.idle, pieces.next())
            .await
            .map_err(|_| ApiError::new(ErrorCode::Timeout, "the upload paused for too long"))?;
        let Some(piece) = piece.transpose()? else { break };
        spool.bytes = spool.bytes.saturating_add(piece.len() as u64);
        if spool.bytes > bounds.bytes {
            return Err(too_large(bounds.bytes));
        }
        file.write_all(&piece).await.map_err(ApiError::internal)?;
    }
    // The job may run after a restart, so the bytes must be on the disk before it is promised.
    file.sync_all().await.map_err(ApiError::internal)?;
    if spool.bytes == 0 {
        return Err(ApiError::new(ErrorCode::BadRequest, "the upload is empty"));
    }
    Ok(spool)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;

    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 8, idle: Duration::from_millis(20) };

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[tokio::test]
    async fn a_file_that_is_handed_over_stays() {
        let folder = tempfile::tempdir().unwrap();
        let pieces = stream::iter([Ok(Bytes::from("four")), Ok(Bytes::from("five"))]);
        let spool = write(folder.path(), BOUNDS, pieces).await.unwrap();
        assert_eq!((spool.bytes(), std::fs::read(spool.path()).unwrap()), (8, b"fourfive".into()));
        spool.hand_over();
        assert_eq!(files(folder.path()), 1);
    }

    #[tokio::test]
    async fn a_failed_upload_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let large = stream::iter([Ok(Bytes::from("four")), Ok(Bytes::from("fives"))]);
        let error = write(folder.path(), BOUNDS, large).await.err().unwrap();
        assert_eq!(error.code(), ErrorCode::PayloadTooLarge);
        let broken = stream::iter([Ok(Bytes::from("four")), Err(ErrorCode::BadRequest.into())]);
        let error = write(folder.path(), BOUNDS, broken).await.err().unwrap();
        assert_eq!(error.code(), ErrorCode::BadRequest);
        let paused = stream::pending();
        let error = write(folder.path(), BOUNDS, paused).await.err().unwrap();
        assert_eq!(error.code(), ErrorCode::Timeout);
        let error = write(folder.path(), BOUNDS, stream::empty()).await.err().unwrap();
        assert_eq!(error.code(), ErrorCode::BadRequest);
        assert_eq!(files(folder.path()), 0);
    }
}
