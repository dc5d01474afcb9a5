//! One file of a store laid out by patient.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, make_array};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_writer::ArrowWriterOptions;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::parquet::schema::types::ColumnPath;
use sha2::{Digest as _, Sha256};

use super::manifest::{FileEntry, create, end_of, hex, sync_folder};
use crate::store::kind::Kind;
use crate::store::table::Column;

/// So many rows are one row group.
const ROW_GROUP: usize = 131_072;
/// So many rows are encoded at once, however they come: a file's bytes, and so its name, depend on it.
const ENCODED: usize = 8_192;

/// Hashes what is written.
struct Hashing {
    file: BufWriter<File>,
    hash: Sha256,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file that is being written, under a name that no manifest has.
pub(super) struct Writing {
    folder: PathBuf,
    part: PathBuf,
    bucket: Option<usize>,
    writer: ArrowWriter<Hashing>,
    /// Rows that are too few to be encoded yet.
    held: Vec<RecordBatch>,
    rows: usize,
}

impl Writing {
    /// Begins the file of a bucket, or of a whole vocabulary, in a table's folder.
    pub(super) fn begin(
        folder: &Path,
        bucket: Option<usize>,
        columns: &[Column],
        schema: &SchemaRef,
    ) -> io::Result<Self> {
        let part = folder.join(format!("{}.part", stem(bucket)));
        let file = Hashing { file: BufWriter::with_capacity(1 << 20, create(&part)?), hash: Sha256::new() };
        let options = ArrowWriterOptions::new().with_properties(properties(columns)).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(file, schema.clone(), options)?;
        Ok(Self { folder: folder.to_path_buf(), part, bucket, writer, held: Vec::new(), rows: 0 })
    }

    pub(super) const fn bucket(&self) -> Option<usize> {
        self.bucket
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            let rows = (ENCODED - self.rows % ENCODED).min(batch.num_rows() - from);
            self.held.push(batch.slice(from, rows));
            (from, self.rows) = (from + rows, self.rows + rows);
            if self.rows.is_multiple_of(ENCODED) {
                self.encode()?;
            }
        }
        Ok(())
    }

    fn encode(&mut self) -> io::Result<()> {
        let Some(first) = self.held.first() else { return Ok(()) };
        let rows = concat_batches(&first.schema(), &self.held).map_err(io::Error::other)?;
        self.held.clear();
        let columns = rows.columns().iter().map(without_marks).collect::<Result<_, _>>().map_err(io::Error::other)?;
        let rows = RecordBatch::try_new(rows.schema(), columns).map_err(io::Error::other)?;
        Ok(self.writer.write(&rows)?)
    }

    /// Puts the file on disk, under the name that its content gives it; says whether it was not there before.
    pub(super) fn finish(mut self) -> io::Result<(FileEntry, bool)> {
        self.encode()?;
        let Hashing { file, hash } = self.writer.into_inner()?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        drop(file);
        let name = format!("{}-{}.parquet", stem(self.bucket), named(hash));
        let entry = |path: &Path| -> io::Result<FileEntry> {
            let mut file = File::open(path)?;
            let (bytes, end) = (file.metadata()?.len(), end_of(&mut file)?);
            Ok(FileEntry { name: name.clone(), bucket: self.bucket, rows: self.rows, bytes, end })
        };
        let (written, path) = (entry(&self.part)?, self.folder.join(&name));
        if is_as_named(&path) {
            fs::remove_file(&self.part)?;
            return Ok((written, false));
        }
        fs::rename(&self.part, &path)?;
        sync_folder(&self.folder)?;
        Ok((written, true))
    }
}

/// A column of which no value is missing is encoded otherwise where it could say so of each.
fn without_marks(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if column.null_count() > 0 || column.nulls().is_none() {
        return Ok(Arc::clone(column));
    }
    Ok(make_array(column.to_data().into_builder().nulls(None).build()?))
}

/// What of a file's SHA-256 stands in its name.
fn named(hash: Sha256) -> String {
    hex(&hash.finalize())[..16].to_string()
}

/// Whether a file has, from its beginning to its end, the content that its name says.
pub(super) fn is_as_named(path: &Path) -> bool {
    let hashed = || -> io::Result<String> {
        let (mut file, mut hash) = (File::open(path)?, Sha256::new());
        let mut piece = vec![0; 1 << 20];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(named(hash)),
                count => hash.update(&piece[..count]),
            }
        }
    };
    let name = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.rsplit_once('-'));
    hashed().is_ok_and(|hash| name.is_some_and(|(_, named)| named == hash))
}

/// Whether a name is that of a file that was not written to its end.
pub(super) fn is_part(name: &str) -> bool {
    name.ends_with(".part")
}

fn stem(bucket: Option<usize>) -> String {
    bucket.map_or_else(|| "whole".to_string(), |bucket| format!("bucket-{bucket:05}"))
}

/// Whether a name is that of a file that may be in a table's folder, whole or not.
pub(super) fn is_ours(name: &str) -> bool {
    let is_stem = |stem: &str| {
        let number = |digits: &str| digits.len() >= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
        stem == "whole" || stem.strip_prefix("bucket-").is_some_and(number)
    };
    let is_hash = |hash: &str| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    match (name.strip_suffix(".part"), name.strip_suffix(".parquet").and_then(|name| name.rsplit_once('-'))) {
        (Some(stem), _) => is_stem(stem),
        (None, Some((stem, hash))) => is_stem(stem) && is_hash(hash),
        (None, None) => false,
    }
}

fn properties(columns: &[Column]) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_created_by("consilium".to_string())
        .set_compression(Compression::LZ4_RAW)
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    // Every value of a key is its own: a dictionary of them would be written to be thrown away.
    for column in columns.iter().filter(|column| column.kind == Kind::Key) {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column.name.as_str()), false);
    }
    properties.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_files_are_known_by_their_names() {
        let hash = "0123456789abcdef";
        for name in [
            "whole.part",
            "bucket-00012.part",
            &format!("whole-{hash}.parquet"),
            &format!("bucket-123456-{hash}.parquet"),
        ] {
            assert!(is_ours(name), "{name}");
        }
        for name in
            ["whole.parquet", "part-00000.parquet", "bucket-1.part", "x.part", &format!("bucket-00001-{hash}.csv")]
        {
            assert!(!is_ours(name), "{name}");
        }
    }
}
