//! The keys of an aggregate, as GROUP BY names them or as GROUPING SETS, ROLLUP and CUBE do.

use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{Aggregate, Expr, GroupingSet};

/// The keys of an aggregate, in the order of its columns.
pub fn keys(aggregate: &Aggregate) -> Vec<&Expr> {
    match aggregate.group_expr.as_slice() {
        [Expr::GroupingSet(sets)] => sets.distinct_expr(),
        keys => keys.iter().collect(),
    }
}

/// For each grouping set, which of the keys are left out of it, where they are NULL; empty for a plain GROUP BY.
pub fn left_out(aggregate: &Aggregate) -> Result<Vec<Vec<bool>>> {
    match aggregate.group_expr.as_slice() {
        [Expr::GroupingSet(GroupingSet::GroupingSets(sets))] => {
            let keys = keys(aggregate);
            Ok(sets.iter().map(|set| keys.iter().map(|key| !set.contains(key)).collect()).collect())
        }
        [Expr::GroupingSet(other)] => internal_err!("{other:?} is not written out as grouping sets"),
        _ => Ok(Vec::new()),
    }
}

/// Whether a key is in every grouping set.
pub fn in_every_set(aggregate: &Aggregate, key: &Expr) -> bool {
    match aggregate.group_expr.as_slice() {
        [Expr::GroupingSet(GroupingSet::GroupingSets(sets))] => sets.iter().all(|set| set.contains(key)),
        [Expr::GroupingSet(_)] => false,
        _ => true,
    }
}

/// What `__grouping_id` holds for each set: the keys left out as bits, the first the highest, and above them the number of equal sets before.
pub fn ids(left_out: &[Vec<bool>]) -> Vec<u64> {
    let id = |(at, set): (usize, &Vec<bool>)| {
        let bits = set.iter().fold(0_u64, |bits, out| (bits << 1) | u64::from(*out));
        let before = left_out.iter().take(at).filter(|earlier| *earlier == set).count() as u64;
        bits | (before << set.len())
    };
    left_out.iter().enumerate().map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_have_different_ids() {
        let sets = vec![vec![false, false], vec![false, true], vec![true, true], vec![false, true]];
        assert_eq!(ids(&sets), [0, 1, 3, 5]);
    }
}
