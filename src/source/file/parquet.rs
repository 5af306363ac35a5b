//! Parquet files, read as the lines of JSON that their rows are.
//!
//! A file is whole once it has its footer, and is not changed after that; until then it cannot be opened, which health tells.

use crate::source::json_rows;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use std::fs::File;
use std::io::{self, Read};

/// Rows that are lines at once: to look at the first ones costs no more than these.
const ROWS: usize = 1024;

pub(super) struct Lines {
    rows: ParquetRecordBatchReader,
    lines: Vec<u8>,
    /// Bytes of `lines` that were handed over.
    taken: usize,
}

impl Lines {
    /// Opens a file that is whole.
    ///
    /// # Errors
    /// If it is none.
    pub fn of(file: File) -> io::Result<Self> {
        let refused = |it: parquet::errors::ParquetError| {
            io::Error::other(format!(
                "it is no whole Parquet file ({it}); it is read once it has its footer"
            ))
        };
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(refused)?;
        let rows = builder.with_batch_size(ROWS).build().map_err(refused)?;
        Ok(Lines {
            rows,
            lines: Vec::new(),
            taken: 0,
        })
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.lines.len() {
            let Some(batch) = self.rows.next() else {
                return Ok(0);
            };
            self.lines.clear();
            self.taken = 0;
            json_rows::append(&batch.map_err(io::Error::other)?, &mut self.lines)
                .map_err(io::Error::other)?;
        }
        let rest = &self.lines[self.taken..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.taken += length;
        Ok(length)
    }
}
