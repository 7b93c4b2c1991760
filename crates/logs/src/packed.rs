//! Packed logs: gzip, Zstandard, bzip2, and tar archives, one in another.
//!
//! They are read as one stream of text, an archive as its files one after another, so that an ingest
//! goes on in them after a crash as in any file. Nothing is unpacked to the disk, and no name in an
//! archive is used for anything. How much comes out is bounded.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write as _},
    thread,
};

use bzip2::read::MultiBzDecoder;
use callboard_protocol::IngestProgress;
use flate2::read::MultiGzDecoder;

use crate::{IngestError, IngestOptions, LogStore, OnProgress, text};

/// Packed in packed in packed: `logs.tar.gz` is two.
const DEEPEST: usize = 3;

/// Enough to see the kind of an archive, which says so at byte 257.
const HEAD_BYTES: usize = 8 * 1024;

/// How a stream is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gzip,
    Zstd,
    Bzip2,
    Tar,
}

impl Kind {
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            head if head.get(257..262) == Some(b"ustar") => Some(Self::Tar),
            _ => None,
        }
    }
}

/// Whether a file that begins like this is read as what is packed in it.
pub(crate) fn is_packed(head: &[u8]) -> bool {
    Kind::of(head).is_some()
}

type Stream<'a> = Box<dyn BufRead + Send + 'a>;

impl LogStore {
    /// Indexes what is new of what is packed in a file.
    pub(crate) fn ingest_packed(
        &self,
        file: &File,
        options: &IngestOptions,
        on_progress: OnProgress<'_>,
    ) -> Result<IngestProgress, IngestError> {
        let in_read = |source| IngestError::Read { offset: 0, source };
        let most = self.inner.config.unpacked_mb << 20;
        let (mut stream, is_archive) = unpacked(file).map_err(in_read)?;
        if !is_archive {
            return self.ingest_reader(Bounded::new(stream, most), options, on_progress);
        }
        let (read, write) = io::pipe().map_err(in_read)?;
        thread::scope(|scope| {
            let unpacking = scope.spawn(move || files(&mut stream, write));
            let ingested = self.ingest_reader(Bounded::new(read, most), options, on_progress);
            let unpacked = unpacking.join().unwrap_or_else(|_| Err(damaged("it cannot be read")));
            let mut progress = ingested?;
            match unpacked {
                Ok(skipped) => progress.skipped_files += skipped,
                // The ingest was broken off.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(source) => {
                    return Err(IngestError::Read { offset: progress.bytes_done, source });
                }
            }
            // Of an archive some files are no text as a rule.
            if progress.lines > 0 {
                progress.skipped_files = 0;
            }
            Ok(progress)
        })
    }
}

/// The stream in its packings, and whether it is an archive.
fn unpacked(file: &File) -> io::Result<(Stream<'_>, bool)> {
    let mut stream: Stream<'_> = Box::new(BufReader::with_capacity(HEAD_BYTES, file));
    for _ in 0..DEEPEST {
        let kind = Kind::of(&peek(&mut stream)?);
        let inner: Box<dyn Read + Send + '_> = match kind {
            None => return Ok((stream, false)),
            Some(Kind::Tar) => return Ok((stream, true)),
            Some(Kind::Gzip) => Box::new(MultiGzDecoder::new(stream)),
            Some(Kind::Bzip2) => Box::new(MultiBzDecoder::new(stream)),
            Some(Kind::Zstd) => Box::new(zstd::stream::read::Decoder::with_buffer(stream)?),
        };
        stream = ahead(inner)?;
    }
    Err(damaged("it is packed in packed files, and those again"))
}

/// A stream whose first bytes can be looked at together.
fn ahead<'a>(mut inner: Box<dyn Read + Send + 'a>) -> io::Result<Stream<'a>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    inner.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(Box::new(io::Cursor::new(head).chain(BufReader::new(inner))))
}

fn peek(stream: &mut Stream<'_>) -> io::Result<Vec<u8>> {
    Ok(stream.fill_buf()?.to_vec())
}

/// Writes the files of an archive one after another; how many were left out, since they are no text.
fn files(archive: &mut impl Read, mut out: io::PipeWriter) -> io::Result<u64> {
    let mut skipped = 0;
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let mut head = Vec::with_capacity(HEAD_BYTES);
        entry.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        let inner: Box<dyn Read> = match Kind::of(&head) {
            Some(Kind::Gzip) => Box::new(MultiGzDecoder::new(head.chain(entry))),
            Some(Kind::Bzip2) => Box::new(MultiBzDecoder::new(head.chain(entry))),
            Some(Kind::Zstd) => Box::new(zstd::stream::read::Decoder::new(head.chain(entry))?),
            None if !text::is_binary(&head) => Box::new(head.chain(entry)),
            Some(Kind::Tar) | None => {
                skipped += 1;
                continue;
            }
        };
        io::copy(&mut { inner }, &mut out)?;
        // The last line of a file ends there.
        out.write_all(b"\n")?;
    }
    Ok(skipped)
}

/// Fails when more comes out than may.
struct Bounded<R> {
    inner: R,
    left: u64,
    most: u64,
}

impl<R: Read> Bounded<R> {
    fn new(inner: R, most: u64) -> Self {
        Self { inner, left: most, most }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let count_64 = count as u64;
        if count_64 > self.left {
            return Err(damaged(&format!("more than {} bytes are packed in it", self.most)));
        }
        self.left -= count_64;
        Ok(count)
    }
}

fn damaged(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.to_owned())
}

#[cfg(test)]
mod tests {
    use std::{ops::ControlFlow, path::PathBuf};

    use callboard_protocol::{LogSearch, SourceId, Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::LogsConfig;

    const TEXT: &str = "2026-11-21 03:14:15 INFO one\n2026-11-21 03:14:16 INFO two\n";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    fn bzip2(bytes: &[u8]) -> Vec<u8> {
        let mut packed = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            // As an attacker writes it.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            archive.append(&header, *bytes).unwrap();
        }
        archive.into_inner().unwrap()
    }

    struct Place {
        folder: tempfile::TempDir,
        store: LogStore,
        source: SourceId,
    }

    impl Place {
        fn new(config: &LogsConfig) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = LogStore::open(&folder.path().join("index"), config).unwrap();
            Self { folder, store, source: SourceId::new() }
        }

        fn ingest(&self, bytes: &[u8]) -> Result<IngestProgress, IngestError> {
            let path: PathBuf = self.folder.path().join("packed");
            std::fs::write(&path, bytes).unwrap();
            let options = IngestOptions::whole(self.source, "packed", Timestamp::from_millis(0));
            self.store.ingest_file(&path, &options, &mut |_| ControlFlow::Continue(()))
        }

        fn lines(&self) -> Vec<String> {
            let search = LogSearch { limit: Some(500), ..LogSearch::default() };
            let mut lines = self.store.search(&search).unwrap().lines;
            lines.sort_by_key(|line| line.id);
            lines.into_iter().map(|line| line.text).collect()
        }
    }

    #[test]
    fn what_is_packed_is_indexed_and_the_second_time_nothing_is() {
        let zstd = zstd::bulk::compress(TEXT.as_bytes(), 1).unwrap();
        let twice = [gzip(&TEXT.as_bytes()[..29]), gzip(&TEXT.as_bytes()[29..])].concat();
        let tar = archive(&[("a/app.log", TEXT.as_bytes())]);
        for packed in [gzip(TEXT.as_bytes()), bzip2(TEXT.as_bytes()), zstd, twice, gzip(&tar), tar]
        {
            let place = Place::new(&LogsConfig::default());
            assert_eq!(place.ingest(&packed).unwrap().lines, 2);
            assert_eq!(place.ingest(&packed).unwrap().lines, 0);
            assert_eq!(place.lines(), TEXT.lines().collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_archive_gives_its_text_and_its_names_mean_nothing() {
        let archive = archive(&[
            ("../../../etc/cron.d/evil", b"2026-11-21 03:14:15 INFO first"),
            ("/etc/passwd", &[0; 3_000]),
            ("c.log.gz", &gzip(b"2026-11-21 03:14:17 INFO third\n")),
            ("empty", b""),
        ]);
        let place = Place::new(&LogsConfig::default());
        let progress = place.ingest(&archive).unwrap();
        assert_eq!((progress.lines, progress.skipped_files), (2, 0));
        let lines = place.lines();
        assert_eq!(lines, ["2026-11-21 03:14:15 INFO first", "2026-11-21 03:14:17 INFO third"]);
        assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 2, "index and packed");
    }

    #[test]
    fn bombs_and_damage_are_refused() {
        let config = LogsConfig { unpacked_mb: 1, ..LogsConfig::default() };
        let bomb = vec![b'x'; 3 << 20];
        let mut nested = gzip(b"deep");
        for _ in 0..DEEPEST {
            nested = gzip(&nested);
        }
        let whole = gzip(TEXT.as_bytes());
        let bombs = [gzip(&bomb), archive(&[("bomb.gz", &gzip(&bomb))]), nested];
        for packed in bombs.iter().map(Vec::as_slice).chain([&whole[..whole.len() - 12]]) {
            let place = Place::new(&config);
            let refused = place.ingest(packed);
            assert!(matches!(refused, Err(IngestError::Read { .. })), "{refused:?}");
        }
    }

    proptest! {
        #[test]
        fn any_packed_bytes_are_read_or_refused(
            which in 0_usize..4, at in any::<usize>(), byte in any::<u8>(),
        ) {
            let seeds = [
                gzip(TEXT.as_bytes()),
                bzip2(TEXT.as_bytes()),
                zstd::bulk::compress(TEXT.as_bytes(), 1).unwrap(),
                archive(&[("a", TEXT.as_bytes())]),
            ];
            let mut bytes = seeds[which].clone();
            let at = at % bytes.len();
            bytes[at] = byte;
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            io::Seek::rewind(&mut file).unwrap();
            if let Ok((mut stream, _)) = unpacked(&file) {
                drop(io::copy(&mut (&mut stream).take(1 << 20), &mut io::sink()));
            }
        }
    }
}
