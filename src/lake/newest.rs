//! The newest rows of a table, as far as the names of its files tell when they came.

use super::{Error, Store};
use crate::model::Epoch;
use arrow::array::RecordBatch;

impl Store {
    /// Rows of a table's files whose commit is not before `since`, newest files first, until there are `rows_max`. A file of
    /// several commits that were merged counts as of the merge.
    ///
    /// # Errors
    /// If the table or one of these files cannot be read.
    pub async fn newest_rows(
        &self,
        table: &str,
        since: Epoch,
        rows_max: usize,
    ) -> Result<Vec<(Epoch, RecordBatch)>, Error> {
        let delta = self.open_delta(table).await?;
        let snapshot = delta.snapshot().map_err(|it| Error::Table {
            table: table.to_owned(),
            reason: it.to_string(),
        })?;
        let named = |it: deltalake::kernel::LogicalFileView| {
            let path = it.path().into_owned();
            Some((epoch_of(&path)?, path))
        };
        let all: Vec<(Epoch, String)> = snapshot.log_data().iter().filter_map(named).collect();
        let mut files: Vec<(Epoch, String)> = all.into_iter().filter(|it| since <= it.0).collect();
        files.sort_unstable();
        let (mut rows, mut newest) = (0, Vec::new());
        for (epoch, path) in files.into_iter().rev() {
            if rows_max <= rows {
                break;
            }
            for batch in self.batches_of(table, &path).await? {
                let batch = batch?;
                rows += batch.num_rows();
                newest.push((epoch, batch));
            }
        }
        Ok(newest)
    }
}

/// The commit that a file's name tells; none if it is of rows that were filled in.
pub(super) fn epoch_of(path: &str) -> Option<Epoch> {
    let name = path.rsplit('/').next()?;
    let digits = name.strip_prefix(['e', 'm'])?.split('-').next()?;
    digits.parse().ok().map(Epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_tell_their_commit() {
        let of = |name: &str| epoch_of(name).map(|it| it.0);
        assert_eq!(
            of("e0001795817823500-w0-15b6a3c2-5-e6a2.zstd.parquet"),
            Some(1_795_817_823_500)
        );
        assert_eq!(
            of("date=1/m0001795817823500-uuid.zstd.parquet"),
            Some(1_795_817_823_500)
        );
        assert_eq!(of("g-12345678-1-e6a2.zstd.parquet"), None);
        assert_eq!(of("part-00000.parquet"), None);
    }
}
