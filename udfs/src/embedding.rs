//! EMBEDDING: a vector by which a model tells what is alike from what is not, and how two of them are compared.

use std::sync::Arc;

use arrow::array::{Float32Builder, ListArray, ListBuilder};
use arrow::datatypes::{DataType, Field};

/// The Arrow type of EMBEDDING: a list of float4. Its length is the model's; no item is NULL.
pub fn embedding_type() -> DataType {
    DataType::List(item())
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, true))
}

/// A column of embeddings; None is NULL.
pub fn embeddings<'a>(rows: impl IntoIterator<Item = Option<&'a [f32]>>) -> ListArray {
    let mut list = ListBuilder::new(Float32Builder::new()).with_field(item());
    for row in rows {
        match row {
            Some(values) => {
                list.values().append_slice(values);
                list.append(true);
            }
            None => list.append(false),
        }
    }
    list.finish()
}

/// What is measured of two vectors of float4 or float8.
pub(crate) trait Measure {
    /// The measure; None if there is none.
    fn of<A: Copy + Into<f64>, B: Copy + Into<f64>>(a: &[A], b: &[B]) -> Option<f64>;
}

/// The cosine of the angle between two vectors, -1 to 1; None if they have not one length, one of them has the length 0, or is not finite.
pub(crate) struct Cosine;

/// The distance of two points; None if they have not one length, or none at all.
pub(crate) struct Distance;

/// `Cosine` of two vectors as models make them.
pub fn cosine_similarity(a: &[f32], b: &[f32]) -> Option<f64> {
    Cosine::of(a, b)
}

impl Measure for Cosine {
    fn of<A: Copy + Into<f64>, B: Copy + Into<f64>>(a: &[A], b: &[B]) -> Option<f64> {
        if a.len() != b.len() {
            return None;
        }
        let (of_a, of_b) = (product(a, a), product(b, b));
        if of_a.is_normal() && of_b.is_normal() && (of_a * of_b).is_normal() {
            return Some((product(a, b) / (of_a * of_b).sqrt()).clamp(-1.0, 1.0));
        }
        // Squares that float8 has no room for: an angle is the same of vectors that are shorter or longer.
        let (a, b) = (scaled(a)?, scaled(b)?);
        Some((product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()).clamp(-1.0, 1.0))
    }
}

impl Measure for Distance {
    fn of<A: Copy + Into<f64>, B: Copy + Into<f64>>(a: &[A], b: &[B]) -> Option<f64> {
        if a.len() != b.len() || a.is_empty() {
            return None;
        }
        let differences = || a.iter().zip(b).map(|(a, b)| wide(a) - wide(b));
        let squares = differences().map(|d| d * d).sum::<f64>();
        if squares.is_normal() {
            return Some(squares.sqrt());
        }
        let most = differences().map(f64::abs).fold(0.0, f64::max);
        let known = most > 0.0 && most.is_finite();
        Some(if known { differences().map(|d| (d / most).powi(2)).sum::<f64>().sqrt() * most } else { squares.sqrt() })
    }
}

fn product<A: Copy + Into<f64>, B: Copy + Into<f64>>(a: &[A], b: &[B]) -> f64 {
    a.iter().zip(b).map(|(a, b)| wide(a) * wide(b)).sum()
}

fn wide<A: Copy + Into<f64>>(number: &A) -> f64 {
    (*number).into()
}

/// The vector whose greatest number is 1; None of one without a length, or whose numbers are not all finite.
fn scaled<A: Copy + Into<f64>>(vector: &[A]) -> Option<Vec<f64>> {
    let all = || vector.iter().map(wide);
    let most = all().map(f64::abs).fold(0.0, f64::max);
    (most > 0.0 && all().all(f64::is_finite)).then(|| all().map(|v| v / most).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_compared_by_angle_or_distance_if_they_have_one_length() {
        assert_eq!(cosine_similarity(&[3.0, 4.0], &[6.0, 8.0]), Some(1.0));
        assert_eq!(cosine_similarity(&[1.0, 0.0], &[0.0, 2.0]), Some(0.0));
        assert_eq!(cosine_similarity(&[1.0], &[-2.0]), Some(-1.0));
        assert_eq!(Distance::of(&[0.0, 3.0], &[4.0, 0.0]), Some(5.0));
        for (a, b) in [(&[1.0][..], &[1.0, 2.0][..]), (&[], &[])] {
            assert_eq!((cosine_similarity(a, b), Distance::of(a, b)), (None, None));
        }
        assert_eq!(cosine_similarity(&[0.0, 0.0], &[1.0, 0.0]), None);
    }

    #[test]
    fn numbers_that_have_no_square_are_measured_all_the_same() {
        for far in [1e300, 1e-300, f64::MIN_POSITIVE] {
            assert_eq!(Cosine::of(&[far, far], &[far, far]).map(|c| (c * 1e12).round() / 1e12), Some(1.0), "{far}");
            assert_eq!(Cosine::of(&[far, 0.0], &[0.0, far]), Some(0.0), "{far}");
            assert_eq!(Distance::of(&[far, 0.0], &[0.0, 0.0]), Some(far));
        }
        assert_eq!(Distance::of(&[16_777_217.0], &[16_777_216.0]), Some(1.0));
        // Of float4 and float8 together.
        assert_eq!((Distance::of(&[16_777_216.0_f32], &[16_777_217.0_f64]), Cosine::of(&[1.0_f64], &[2.0_f32])), (Some(1.0), Some(1.0)));
        assert_eq!((Distance::of(&[1.0], &[1.0]), Distance::of(&[f64::INFINITY], &[1.0])), (Some(0.0), Some(f64::INFINITY)));
        assert_eq!((Cosine::of(&[f64::NAN], &[1.0]), Cosine::of(&[f64::INFINITY], &[1.0]), Cosine::of(&[0.0], &[1.0])), (None, None, None));
        assert!(Distance::of(&[f64::NAN], &[1.0]).is_some_and(f64::is_nan));
    }

    #[test]
    fn a_column_of_embeddings_has_their_type() {
        let column = embeddings([Some(&[1.0, 2.0][..]), None]);
        assert_eq!((arrow::array::Array::data_type(&column), column.value_length(0), column.value_length(1)), (&embedding_type(), 2, 0));
    }
}
