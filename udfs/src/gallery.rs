//! A gallery: the faces of people by name, as vectors, and whom a face is most like.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float32Type;
use arrow::record_batch::RecordBatch;
use datafusion_common::{Result, exec_err};

use crate::embedding::cosine_similarity;

/// The columns of a gallery: whose picture it is, the vector of the face, and the key of the model that made it.
pub const COLUMNS: [&str; 3] = ["name", "embedding", "model"];

/// The people of a gallery at one moment.
#[derive(Clone, Debug, Default)]
pub struct People {
    pictures: Vec<Picture>,
    models: Vec<String>,
}

#[derive(Clone, Debug)]
struct Picture {
    name: String,
    vector: Vec<f32>,
}

/// Whom a face is most like.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest<'a> {
    /// The person.
    pub name: &'a str,
    /// The cosine similarity to the nearest of the person's pictures, -1 to 1.
    pub similarity: f64,
    /// The nearest of the other people, in the same way; None if there is nobody else.
    pub runner_up: Option<(&'a str, f64)>,
}

impl People {
    /// The people of a gallery's rows, which have the columns `COLUMNS`; a row with a NULL is none.
    pub fn of(rows: &RecordBatch) -> Result<People> {
        let column = |name: &str| rows.column_by_name(name);
        let [name, embedding, model] = COLUMNS.map(column);
        let texts = |column: Option<&arrow::array::ArrayRef>| column.and_then(|c| c.as_string_opt::<i32>().cloned());
        let lists = embedding.and_then(|column| column.as_list_opt::<i32>());
        let (Some(names), Some(lists), Some(models)) = (texts(name), lists, texts(model)) else {
            return exec_err!("these are not the columns of a gallery");
        };
        let mut people = People::default();
        for row in 0..rows.num_rows() {
            if names.is_null(row) || lists.is_null(row) || models.is_null(row) {
                continue;
            }
            let values = lists.value(row);
            let Some(values) = values.as_primitive_opt::<Float32Type>() else { continue };
            people.pictures.push(Picture { name: names.value(row).to_owned(), vector: values.values().to_vec() });
            let model = models.value(row);
            if !people.models.iter().any(|known| known == model) {
                people.models.push(model.to_owned());
            }
        }
        Ok(people)
    }

    /// Whether all vectors were made by the model with that key: those of two models say nothing of each other.
    pub fn made_by(&self, key: &str) -> bool {
        self.models.iter().all(|model| model == key)
    }

    /// Whom the face of that vector is most like: of each person the nearest picture counts, of two that are as near the one that came first. None for an
    /// empty gallery, and for a vector without a direction.
    pub fn nearest(&self, vector: &[f32]) -> Option<Nearest<'_>> {
        let mut best: Option<(&str, f64)> = None;
        let mut second: Option<(&str, f64)> = None;
        for picture in &self.pictures {
            let Some(similarity) = cosine_similarity(&picture.vector, vector) else { continue };
            let this = (picture.name.as_str(), similarity);
            match best {
                Some((name, most)) if similarity > most => {
                    if name != this.0 {
                        second = best;
                    }
                    best = Some(this);
                }
                Some((name, _)) if name == this.0 => {}
                Some(_) if second.is_none_or(|(_, most)| similarity > most) => second = Some(this),
                Some(_) => {}
                None => best = Some(this),
            }
        }
        best.map(|(name, similarity)| Nearest { name, similarity, runner_up: second })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};

    use super::*;
    use crate::embedding::embeddings;

    fn people(rows: &[(&str, &[f32], &str)]) -> People {
        let texts = |of: fn(&(&str, &[f32], &str)) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(of))) };
        let vectors: ArrayRef = Arc::new(embeddings(rows.iter().map(|row| Some(row.1))));
        let columns = [texts(|r| r.0.to_owned()), vectors, texts(|r| r.2.to_owned())];
        People::of(&RecordBatch::try_from_iter(COLUMNS.into_iter().zip(columns)).unwrap()).unwrap()
    }

    #[test]
    fn the_nearest_person_and_the_nearest_of_the_others_are_found_whatever_the_order() {
        let mut rows: Vec<(&str, &[f32], &str)> =
            vec![("ann", &[1.0, 0.0], "m"), ("ann", &[0.8, 0.6], "m"), ("bob", &[0.0, 1.0], "m"), ("cyd", &[-1.0, 0.0], "m")];
        for turn in 0..rows.len() {
            rows.rotate_left(turn);
            for backwards in [false, true] {
                if backwards {
                    rows.reverse();
                }
                let people = people(&rows);
                let found = people.nearest(&[2.0, 0.0]).unwrap();
                assert_eq!((found.name, found.similarity, found.runner_up), ("ann", 1.0, Some(("bob", 0.0))), "{rows:?}");
                // The second picture of ann is nearer than bob's, and she is no runner-up to herself.
                let found = people.nearest(&[0.7, 0.7]).unwrap();
                assert_eq!((found.name, found.runner_up.map(|r| r.0)), ("ann", Some("bob")));
            }
        }
        assert_eq!(People::default().nearest(&[1.0]), None);
        assert_eq!(people(&[("ann", &[1.0], "m")]).nearest(&[1.0]).unwrap().runner_up, None);
        assert_eq!(people(&rows).nearest(&[0.0, 0.0]), None);
        assert_eq!(people(&rows).nearest(&[1.0, 0.0, 0.0]), None);
    }

    #[test]
    fn vectors_of_another_model_are_noticed() {
        let mixed = people(&[("ann", &[1.0], "m"), ("bob", &[1.0], "n")]);
        assert!(!mixed.made_by("m") && people(&[("ann", &[1.0], "m")]).made_by("m") && People::default().made_by("m"));
    }
}
