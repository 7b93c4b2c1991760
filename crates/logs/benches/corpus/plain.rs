//! What anybody gets who puts the same lines into tantivy: no parsing, no patterns, its own words, its
//! own store; as many threads and as much memory as ours.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use tantivy::{
    Index, IndexReader, TantivyDocument,
    schema::{FAST, Field, INDEXED, STORED, Schema, TEXT},
};

use crate::END_MS;

/// See the module.
pub(crate) struct Plain {
    pub(crate) reader: IndexReader,
    pub(crate) index: Index,
    pub(crate) text: Field,
    pub(crate) at: Field,
}

impl Plain {
    pub(crate) fn build(folder: &Path, files: &[PathBuf]) -> Self {
        fs::create_dir(folder).expect("a folder");
        let mut schema = Schema::builder();
        let text = schema.add_text_field("text", TEXT | STORED);
        let at = schema.add_i64_field("at", FAST | INDEXED);
        let level = schema.add_u64_field("level", FAST | INDEXED);
        let index = Index::create_in_dir(folder, schema.build()).expect("an index");
        let mut writer = index.writer_with_num_threads(2, 64 << 20).expect("a writer");
        for path in files {
            let bytes = fs::metadata(path).expect("a file").len();
            let mut read = 0;
            for line in BufReader::new(File::open(path).expect("a file")).lines() {
                let line = line.expect("a line");
                read += line.len() as u64 + 1;
                let ago = i128::from(bytes - read) * (30 * 86_400_000) / i128::from(bytes);
                let grave = line.contains("ERROR") || line.contains("error");
                let mut document = TantivyDocument::default();
                document.add_i64(at, END_MS - i64::try_from(ago).unwrap_or_default());
                document.add_u64(level, u64::from(grave));
                document.add_text(text, line);
                writer.add_document(document).expect("a document");
            }
        }
        writer.commit().expect("a commit");
        writer.wait_merging_threads().expect("merged segments");
        let reader = index.reader().expect("a reader");
        Self { reader, index, text, at }
    }
}
