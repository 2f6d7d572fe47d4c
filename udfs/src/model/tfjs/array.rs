//! Constants of a graph, and the few operations that are done on them while it is converted.

use super::{Result, wrong};

/// Numbers of any rank, the last axis fastest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) data: Data,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
}

impl Array {
    pub(super) fn floats(shape: Vec<usize>, values: Vec<f32>) -> Array {
        Array { shape, data: Data::Floats(values) }
    }

    /// A list of whole numbers.
    pub(super) fn list(values: Vec<i64>) -> Array {
        Array { shape: vec![values.len()], data: Data::Ints(values) }
    }

    pub(super) fn scalar(value: f32) -> Array {
        Array::floats(Vec::new(), vec![value])
    }

    pub(super) fn len(&self) -> usize {
        match &self.data {
            Data::Floats(values) => values.len(),
            Data::Ints(values) => values.len(),
        }
    }

    /// As whole numbers. Errs for others.
    pub(super) fn ints(&self) -> Result<Vec<i64>> {
        match &self.data {
            Data::Ints(values) => Ok(values.clone()),
            Data::Floats(values) if values.iter().all(|v| v.fract() == 0.0) => Ok(values.iter().map(|v| *v as i64).collect()),
            Data::Floats(_) => wrong("a number that must be whole is not"),
        }
    }

    /// With its axes in that order: axis `i` of the result is axis `order[i]` of this.
    pub(super) fn turned(&self, order: &[usize]) -> Result<Array> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if sorted != (0..self.shape.len()).collect::<Vec<_>>() {
            return wrong(format!("axes {order:?} of a constant of shape {:?}", self.shape));
        }
        let mut strides = vec![1; self.shape.len()];
        for axis in (1..self.shape.len()).rev() {
            strides[axis - 1] = strides[axis] * self.shape[axis];
        }
        let shape: Vec<usize> = order.iter().map(|axis| self.shape[*axis]).collect();
        let steps: Vec<usize> = order.iter().map(|axis| strides[*axis]).collect();
        let places: Vec<usize> = (0..self.len())
            .map(|at| {
                let mut rest = at;
                let digits = shape.iter().zip(&steps).rev().map(|(side, step)| {
                    let digit = rest % side;
                    rest /= side;
                    digit * step
                });
                digits.sum()
            })
            .collect();
        let data = match &self.data {
            Data::Floats(values) => Data::Floats(places.iter().map(|at| values[*at]).collect()),
            Data::Ints(values) => Data::Ints(places.iter().map(|at| values[*at]).collect()),
        };
        Ok(Array { shape, data })
    }

    /// The same numbers in another shape of as many.
    pub(super) fn shaped(self, shape: Vec<usize>) -> Result<Array> {
        if shape.iter().product::<usize>() != self.len() {
            return wrong(format!("{} numbers in a shape of {shape:?}", self.len()));
        }
        Ok(Array { shape, data: self.data })
    }

    /// Number by number; one that is alone goes with each. None where the shapes need more than that.
    pub(super) fn combined(&self, other: &Array, ints: fn(i64, i64) -> i64, floats: fn(f32, f32) -> f32) -> Option<Array> {
        let shape = match (self.len(), other.len()) {
            (_, 1) => self.shape.clone(),
            (1, _) => other.shape.clone(),
            _ if self.shape == other.shape => self.shape.clone(),
            _ => return None,
        };
        let n: usize = shape.iter().product();
        let data = match (&self.data, &other.data) {
            (Data::Ints(a), Data::Ints(b)) => Data::Ints((0..n).map(|i| ints(a[i % a.len()], b[i % b.len()])).collect()),
            (Data::Floats(a), Data::Floats(b)) => Data::Floats((0..n).map(|i| floats(a[i % a.len()], b[i % b.len()])).collect()),
            _ => return None,
        };
        Some(Array { shape, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_turned() {
        let array = Array::floats(vec![2, 3, 1], (0..6).map(|v| v as f32).collect());
        let turned = array.turned(&[1, 2, 0]).unwrap();
        assert_eq!(turned, Array::floats(vec![3, 1, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        assert_eq!(turned.turned(&[2, 0, 1]).unwrap(), array);
        assert!(array.turned(&[0, 1]).is_err() && array.turned(&[0, 0, 1]).is_err());
    }

    #[test]
    fn constants_are_combined_number_by_number_or_with_one() {
        let add = |a: &Array, b: &Array| a.combined(b, |a, b| a + b, |a, b| a + b);
        assert_eq!(add(&Array::list(vec![1, 2]), &Array::list(vec![10, 20])), Some(Array::list(vec![11, 22])));
        assert_eq!(add(&Array::list(vec![1, 2]), &Array::list(vec![5])), Some(Array::list(vec![6, 7])));
        assert_eq!(add(&Array::list(vec![1, 2]), &Array::list(vec![1, 2, 3])), None);
        assert_eq!(add(&Array::list(vec![1]), &Array::scalar(1.0)), None);
    }
}
