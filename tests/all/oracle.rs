//! When two answers are the same: as bags of rows, floats within 1e-9 of each other.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use framesql::settings::TimeZone;
use framesql::wire::write_text;

/// How far two floats may be apart, relative to the larger.
const TOLERANCE: f64 = 1e-9;

/// The rows of an answer: what is exact in a row, and the floats of the rows that share it.
pub(crate) type Bag = BTreeMap<Vec<String>, Vec<Vec<f64>>>;

/// The rows of some batches.
pub(crate) fn bag(batches: &[RecordBatch]) -> Bag {
    let mut bag = Bag::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let (mut exact, mut floats) = (Vec::new(), Vec::new());
            for column in batch.columns() {
                match column.data_type() {
                    _ if column.is_null(row) => exact.push("NULL".to_owned()),
                    DataType::Float64 => floats.push(column.as_primitive::<Float64Type>().value(row)),
                    DataType::Float32 => floats.push(f64::from(column.as_primitive::<Float32Type>().value(row))),
                    _ => {
                        let mut text = "=".to_owned();
                        write_text(&mut text, column.as_ref(), row, TimeZone::default()).unwrap();
                        exact.push(text);
                    }
                }
            }
            bag.entry(exact).or_default().push(floats);
        }
    }
    bag
}

/// How many rows it has.
pub(crate) fn n_rows(bag: &Bag) -> usize {
    bag.values().map(Vec::len).sum()
}

/// What is left when rows are taken back. Errs with the first that is not there.
pub(crate) fn without(mut bag: Bag, gone: &Bag) -> Result<Bag, String> {
    for (exact, all) in gone {
        let left = bag.entry(exact.clone()).or_default();
        for floats in all {
            match left.iter().position(|other| close(floats, other)) {
                Some(at) => drop(left.swap_remove(at)),
                None => return Err(format!("{exact:?} {floats:?} is taken back and never came")),
            }
        }
        if left.is_empty() {
            bag.remove(exact);
        }
    }
    Ok(bag)
}

/// Errs with the first row that only one of two answers has.
pub(crate) fn same(expected: &Bag, found: &Bag) -> Result<(), String> {
    let rows = |bag: &Bag, exact: &[String]| bag.get(exact).cloned().unwrap_or_default();
    for exact in expected.keys().chain(found.keys()) {
        let (wanted, mut left) = (rows(expected, exact), rows(found, exact));
        for floats in &wanted {
            match left.iter().position(|other| close(floats, other)) {
                Some(at) => drop(left.swap_remove(at)),
                None => return Err(format!("{exact:?} {floats:?} is missing; there is {:?}", rows(found, exact))),
            }
        }
        if let Some(floats) = left.first() {
            return Err(format!("{exact:?} {floats:?} is there once too often; expected {wanted:?}"));
        }
    }
    Ok(())
}

fn close(a: &[f64], b: &[f64]) -> bool {
    let near = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs());
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(*a, *b))
}

#[test]
fn a_bag_knows_what_is_missing_what_is_twice_and_what_is_off() {
    let of = |rows: &[(&str, f64)]| {
        let mut bag = Bag::new();
        rows.iter().for_each(|(exact, float)| bag.entry(vec![(*exact).to_owned()]).or_default().push(vec![*float]));
        bag
    };
    let two = of(&[("a", 1.0), ("b", 2.0)]);
    assert_eq!(same(&two, &of(&[("b", 2.0 + 1e-10), ("a", 1.0)])), Ok(()));
    for other in
        [of(&[("a", 1.0)]), of(&[("a", 1.0), ("b", 2.0), ("b", 2.0)]), of(&[("a", 1.0), ("b", 2.0001)]), of(&[("a", 1.0), ("c", 2.0)])]
    {
        assert!(same(&two, &other).is_err(), "{other:?}");
    }
}
