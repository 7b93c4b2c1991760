use proptest::prelude::*;

use super::*;

fn text_of(chunks: &Chunks, id: u64) -> Option<String> {
    let chunk = chunks.of(LineId(id)).unwrap()?;
    chunk.find(LineId(id)).map(|at| chunk.nth(at).to_owned())
}

fn line(id: u64) -> String {
    format!("line {id} {}", "x".repeat(usize::try_from(id % 700).unwrap()))
}

#[test]
fn lines_are_read_as_they_were_written_whatever_was_committed_when() {
    let folder = tempfile::tempdir().unwrap();
    let mut committed = Committed::default();
    let mut id = 1;
    for commits in 1..12 {
        let mut writer = ChunkWriter::open(folder.path(), committed).unwrap();
        for _ in 0..commits {
            for _ in 0..commits * 37 {
                writer.push(LineId(id), &line(id)).unwrap();
                id += 1;
            }
            committed = writer.flush().unwrap();
            writer.sweep();
        }
        for chunks in [writer.chunks().unwrap(), Chunks::open(folder.path(), committed).unwrap()] {
            assert!((1..id).all(|id| text_of(&chunks, id) == Some(line(id))));
            assert_eq!((text_of(&chunks, 0), text_of(&chunks, id)), (None, None));
            assert!(chunks.bytes() > 0);
        }
    }
    assert!(committed.len > 0 && committed.tail > 0, "{committed:?}");
}

#[test]
fn what_was_not_committed_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = ChunkWriter::open(folder.path(), Committed::default()).unwrap();
    writer.push(LineId(1), "kept").unwrap();
    let committed = writer.flush().unwrap();
    for id in 2..3_000 {
        writer.push(LineId(id), &"lost".repeat(60)).unwrap();
    }
    writer.flush().unwrap();
    drop(writer);
    let mut writer = ChunkWriter::open(folder.path(), committed).unwrap();
    writer.push(LineId(2), "another").unwrap();
    let committed = writer.flush().unwrap();
    let chunks = Chunks::open(folder.path(), committed).unwrap();
    let texts = (1..4).map(|id| text_of(&chunks, id)).collect::<Vec<_>>();
    assert_eq!(texts, [Some("kept".to_owned()), Some("another".to_owned()), None]);
}

#[test]
fn a_reader_keeps_what_it_opened() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = ChunkWriter::open(folder.path(), Committed::default()).unwrap();
    writer.push(LineId(7), "early").unwrap();
    writer.flush().unwrap();
    let early = writer.chunks().unwrap();
    for id in 8..2_000 {
        writer.push(LineId(id), &line(id)).unwrap();
    }
    writer.flush().unwrap();
    writer.sweep();
    assert_eq!(text_of(&early, 7).as_deref(), Some("early"));
    assert_eq!(text_of(&early, 8), None);
}

#[test]
fn damage_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = ChunkWriter::open(folder.path(), Committed::default()).unwrap();
    writer.push(LineId(1), "a line").unwrap();
    let committed = writer.flush().unwrap();
    let path = tail(folder.path(), 0);
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        std::fs::write(&path, &bytes).unwrap();
        let read = Chunks::open(folder.path(), committed).and_then(|chunks| chunks.of(LineId(1)));
        let told = read.is_ok_and(|chunk| chunk.is_some());
        assert!(!told, "byte {at}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_chunk_or_damaged(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        let mut file = b"CBC1".to_vec();
        file.extend_from_slice(&bytes);
        std::fs::write(tail(folder.path(), 0), &file).unwrap();
        let committed = Committed { tail_len: file.len() as u64, ..Committed::default() };
        if let Ok(chunks) = Chunks::open(folder.path(), committed) {
            drop(chunks.of(LineId(1)));
        }
    }
}
