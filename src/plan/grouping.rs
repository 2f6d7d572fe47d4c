//! The keys of an aggregate, as GROUP BY names them or as GROUPING SETS, ROLLUP and CUBE do.

use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{Aggregate, Expr, GroupingSet};

/// The most columns of a CUBE: each doubles the groupings, and so the state.
const MOST_OF_CUBE: usize = 12;

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
        // From all keys to none.
        [Expr::GroupingSet(GroupingSet::Rollup(all))] => {
            Ok((0..=all.len()).rev().map(|n_kept| (0..all.len()).map(|key| key >= n_kept).collect()).collect())
        }
        [Expr::GroupingSet(GroupingSet::Cube(all))] => match all.len() {
            n @ 0..=MOST_OF_CUBE => Ok((0..1_u32 << n).map(|set| (0..n).map(|key| set >> key & 1 == 1).collect()).collect()),
            n => plan_err!("CUBE of {n} columns has more than {} groupings", 1 << MOST_OF_CUBE),
        },
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
