//! The SQL aggregates over frames, boxes and texts: one file an aggregate, one list of them.

mod best_frame;
mod best_jpeg;
mod bytes;
mod define;
mod grid;
mod heatmap;
mod mean_frame;
mod trajectory;
mod vote;

use std::sync::Arc;

use datafusion_expr::{AggregateUDF, AggregateUDFImpl, Documentation};

/// The list: name order, and after them those that others are made of, which have no documentation.
pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    fn udaf(f: impl AggregateUDFImpl + 'static) -> Arc<AggregateUDF> {
        Arc::new(AggregateUDF::new_from_impl(f))
    }
    vec![
        udaf(best_frame::BestFrame::default()),
        udaf(best_jpeg::BestJpeg::default()),
        udaf(heatmap::Heatmap::default()),
        udaf(mean_frame::MeanFrame::default()),
        udaf(trajectory::Trajectory::default()),
        udaf(vote::Vote::default()),
        best_jpeg::best_file(),
        mean_frame::mean_ppm(),
    ]
}

/// Whether it is one of these whose accumulator may be asked for its value again and again while rows are added.
pub fn asked_again(name: &str) -> bool {
    aggregates().iter().any(|a| a.name() == name)
}

/// What the page of functions says of them.
pub(crate) fn documented() -> Vec<(String, Documentation)> {
    let all = aggregates();
    all.iter().filter_map(|a| Some((a.name().to_owned(), a.documentation()?.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Files of this folder that hold no aggregate.
    const SHARED: [&str; 4] = ["bytes", "define", "grid", "mod"];

    #[test]
    fn every_aggregate_is_documented_and_its_file_begins_with_its_signature() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/aggregate");
        let mut names = Vec::new();
        for (name, doc) in documented() {
            let source = std::fs::read_to_string(folder.join(format!("{name}.rs"))).unwrap();
            let syntax = &doc.syntax_example;
            assert!(syntax.starts_with(&format!("{name}(")) && syntax.contains(") -> "), "{name}: {syntax}");
            assert!(source.starts_with(&format!("//! `{syntax}`: ")), "{name}.rs does not begin with `{syntax}`");
            assert!(doc.description.contains("NULL"), "{name} does not say what NULL gives");
            let example = doc.sql_example.as_deref().unwrap_or_default();
            assert!(example.starts_with("SELECT ") && example.contains(&format!("{name}(")), "{name} has no example");
            names.push(name);
        }
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|name| !SHARED.contains(&name.as_str()))
            .collect();
        files.sort();
        assert_eq!(names, files);
    }
}
