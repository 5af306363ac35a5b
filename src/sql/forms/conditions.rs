//! Joins that say nothing about which rows belong together: PostgreSQL and Flink refuse `a JOIN b` without ON, the planner takes it for all pairs of rows.

use datafusion::sql::sqlparser::ast::{Join, JoinConstraint, JoinOperator, TableFactor};

/// # Errors
/// If a join of rows that belong together has no condition: it says what to write.
pub fn refuse_join_without(join: &Join) -> Result<(), String> {
    let (JoinOperator::Join(constraint)
    | JoinOperator::Inner(constraint)
    | JoinOperator::Left(constraint)
    | JoinOperator::LeftOuter(constraint)
    | JoinOperator::Right(constraint)
    | JoinOperator::RightOuter(constraint)
    | JoinOperator::FullOuter(constraint)) = &join.join_operator
    else {
        return Ok(());
    };
    // A list of the row beside it is no relation of its own.
    let is_list = matches!(join.relation, TableFactor::UNNEST { .. });
    if *constraint != JoinConstraint::None || is_list {
        return Ok(());
    }
    let relation = &join.relation;
    let kept = match &join.join_operator {
        JoinOperator::Join(_) | JoinOperator::Inner(_) => format!("CROSS JOIN {relation}"),
        _ => "ON true".to_owned(),
    };
    Err(format!(
        "a join says which rows belong together; write JOIN … ON a.key = b.key, or USING (key), behind {relation}, and {kept} for all pairs of rows"
    ))
}
