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

/// The cosine of the angle between two vectors, -1 to 1; None if they have not one length, or one of them has the length 0.
pub fn cosine_similarity(a: &[f32], b: &[f32]) -> Option<f64> {
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let lengths = (product(a, a) * product(b, b)).sqrt();
    (a.len() == b.len() && lengths > 0.0).then(|| (product(a, b) / lengths).clamp(-1.0, 1.0))
}

/// The distance of two points; None if they have not one length, or none at all.
pub fn l2_distance(a: &[f32], b: &[f32]) -> Option<f64> {
    let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
    (a.len() == b.len() && !a.is_empty()).then(|| a.iter().zip(b).map(square).sum::<f64>().sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_compared_by_angle_or_distance_if_they_have_one_length() {
        assert_eq!(cosine_similarity(&[3.0, 4.0], &[6.0, 8.0]), Some(1.0));
        assert_eq!(cosine_similarity(&[1.0, 0.0], &[0.0, 2.0]), Some(0.0));
        assert_eq!(cosine_similarity(&[1.0], &[-2.0]), Some(-1.0));
        assert_eq!(l2_distance(&[0.0, 3.0], &[4.0, 0.0]), Some(5.0));
        for (a, b) in [(&[1.0][..], &[1.0, 2.0][..]), (&[], &[])] {
            assert_eq!((cosine_similarity(a, b), l2_distance(a, b)), (None, None));
        }
        assert_eq!(cosine_similarity(&[0.0, 0.0], &[1.0, 0.0]), None);
    }

    #[test]
    fn a_column_of_embeddings_has_their_type() {
        let column = embeddings([Some(&[1.0, 2.0][..]), None]);
        assert_eq!((arrow::array::Array::data_type(&column), column.value_length(0), column.value_length(1)), (&embedding_type(), 2, 0));
    }
}
