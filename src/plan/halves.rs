//! Work on many rows at once, and on fewer where it fails.

use std::ops::Range;

/// What `work` makes of rows: of all of them together, or, where that fails, of the halves of them that it succeeds for, down to the single rows it
/// fails for, each with its error. Everything is in the order of the rows. One failure among n rows costs about 2 log n calls.
pub fn in_halves<T, E>(
    rows: Range<usize>,
    work: &mut impl FnMut(Range<usize>) -> Result<T, E>,
) -> Vec<(Range<usize>, Result<T, E>)> {
    let mut done = Vec::new();
    let mut open = vec![rows];
    while let Some(rows) = open.pop() {
        match work(rows.clone()) {
            Err(_) if 1 < rows.len() => {
                let middle = rows.start + rows.len() / 2;
                open.push(middle..rows.end);
                open.push(rows.start..middle);
            }
            result => done.push((rows, result)),
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_fail_stand_alone_and_everything_stays_in_order() {
        for failing in [vec![], vec![0], vec![6], vec![2, 3, 5]] {
            let mut work = |rows: Range<usize>| match failing.iter().find(|it| rows.contains(it)) {
                Some(it) => Err(*it),
                None => Ok(rows.collect::<Vec<usize>>()),
            };
            let done = in_halves(0..7, &mut work);
            let all: Vec<usize> = done.iter().flat_map(|it| it.0.clone()).collect();
            assert_eq!(all, (0..7).collect::<Vec<usize>>());
            for (rows, result) in &done {
                match result {
                    Ok(worked) => assert_eq!(worked, &rows.clone().collect::<Vec<usize>>()),
                    Err(row) => assert_eq!(rows, &(*row..row + 1)),
                }
            }
            let failed: Vec<usize> = done
                .iter()
                .filter_map(|it| it.1.as_ref().err())
                .copied()
                .collect();
            assert_eq!(failed, failing);
        }
    }

    #[test]
    fn no_rows_are_worked_on_as_they_are() {
        let done = in_halves(0..0, &mut |rows| Ok::<_, ()>(rows.len()));
        assert_eq!(done, [(0..0, Ok(0))]);
    }
}
