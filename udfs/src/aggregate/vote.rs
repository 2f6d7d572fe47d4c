//! `vote(text text, score float8) -> text`: the text that most speaks for.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type};
use datafusion_common::{Result, ScalarValue, internal_err};
use datafusion_expr::Accumulator;

use super::bytes::{Keeping, Kept};
use super::define::sql_aggregate;

sql_aggregate!(
    Vote, "vote", arguments: [Text, Float], required: 2, returns: DataType::Utf8,
    state: [DataType::Binary], accumulator: || Ok(Box::new(Votes::default())),
    syntax: "vote(text text, score float8) -> text",
    description: "The text whose scores have the greatest sum: what a plate or a sign says that was read many times, each time with another doubt. Of several with the same sum the first in order. Rows whose text or score is NULL or not a number do not count; NULL where none counts.",
    example: "SELECT vote(CASE WHEN face.box['x'] < 640 THEN 'left' ELSE 'right' END, face.score) FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face"
);

/// The sum and the number of each text's scores.
#[derive(Debug, Default)]
struct Votes(BTreeMap<String, (f64, u64)>);

impl Votes {
    fn count(&mut self, values: &[ArrayRef], add: bool) -> Result<()> {
        let [texts, scores] = values else { return internal_err!("vote has two arguments") };
        let (texts, scores) = (texts.as_string::<i32>(), scores.as_primitive::<Float64Type>());
        for (text, score) in texts.iter().zip(scores.iter()) {
            let (Some(text), Some(score)) = (text, score.filter(|s| !s.is_nan())) else { continue };
            if add {
                let entry = self.0.entry(text.to_owned()).or_default();
                *entry = (entry.0 + score, entry.1 + 1);
            } else if let Some(entry) = self.0.get_mut(text) {
                *entry = (entry.0 - score, entry.1 - 1);
                if entry.1 == 0 {
                    self.0.remove(text);
                }
            }
        }
        Ok(())
    }
}

impl Accumulator for Votes {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.count(values, true)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.count(values, false)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let most = self.0.iter().reduce(|best, next| if next.1.0 > best.1.0 { next } else { best });
        Ok(ScalarValue::Utf8(most.map(|(text, _)| text.clone())))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.keys().map(|text| text.len() + size_of::<(String, f64, u64)>()).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut kept = Keeping::default();
        for (text, (sum, n)) in &self.0 {
            kept.text(text);
            kept.number(sum.to_bits());
            kept.number(*n);
        }
        Ok(vec![kept.value()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [column] = states else { return internal_err!("vote keeps one value") };
        for mut kept in Kept::rows(column)? {
            while !kept.is_empty() {
                let (text, sum, n) = (kept.text()?, f64::from_bits(kept.number()?), kept.number()?);
                let entry = self.0.entry(text).or_default();
                *entry = (entry.0 + sum, entry.1 + n);
            }
        }
        Ok(())
    }
}
