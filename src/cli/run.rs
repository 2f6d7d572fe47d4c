//! `framesql run FILE`: the file's statements in order, each result printed, up to the first error.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use url::Url;

use super::table::Format;
use super::{statement, stop};
use crate::engine::Engine;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::wire::dialect;

/// The arguments.
#[derive(Args, Debug)]
pub(super) struct Run {
    /// The file of SQL statements; - is standard input
    file: PathBuf,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// A file, folder or glob to read under a name, any number of times
    #[arg(long, value_name = "NAME=PATH", value_parser = named_path)]
    source: Vec<(String, String)>,
    /// The directory of the catalogue [default: in memory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Run {
    pub(super) async fn run(self) -> Result<()> {
        let script = read(&self.file)?;
        let engine = Engine::open_with(Settings { data: self.data.clone(), ..Settings::from_environment()? }, Some(dialect())).await?;
        let session = engine.session("framesql", "framesql");
        let result = tokio::select! {
            result = self.script(&session, &script) => result,
            () = stop::asked() => Err(Error::Cancelled { reason: "user request" }),
        };
        engine.shutdown().await;
        result
    }

    async fn script(&self, session: &Session, script: &str) -> Result<()> {
        // The same SQL as over the wire.
        dialect()(session)?;
        let statements = session.parse(script)?;
        for (name, path) in &self.source {
            for create in session.parse(&create_source(name, path)?)? {
                session.execute(&create, Vec::new()).await?;
            }
        }
        for one in &statements {
            statement::run(session, one, self.format).await?;
        }
        Ok(())
    }
}

fn read(file: &Path) -> Result<String> {
    let (text, name) = if file.as_os_str() == "-" {
        let mut text = String::new();
        (std::io::stdin().read_to_string(&mut text).map(|_| text), "standard input".to_owned())
    } else {
        (std::fs::read_to_string(file), format!("file \"{}\"", file.display()))
    };
    text.map_err(|e| Error::io(format!("could not read {name}"), e))
}

fn named_path(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.to_owned())),
        _ => Err("write it as name=path, such as clip=lobby.mp4".to_owned()),
    }
}

/// The statement that makes a source of a path, or of a URL as it is. The name folds to lower case, as it does where the script names it.
pub(super) fn create_source(name: &str, path: &str) -> Result<String> {
    let url = if path.starts_with("pattern:") || path.contains("://") { path.to_owned() } else { file_url(Path::new(path))? };
    Ok(format!("CREATE SOURCE \"{}\" FROM '{}'", name.to_lowercase().replace('"', "\"\""), url.replace('\'', "''")))
}

/// `file:///absolute/path`, whatever characters the path has.
pub(super) fn file_url(path: &Path) -> Result<String> {
    let absolute = std::path::absolute(path).map_err(|e| Error::io(format!("could not find file \"{}\"", path.display()), e))?;
    Url::from_file_path(&absolute)
        .map(String::from)
        .map_err(|()| Error::Option { message: format!("\"{}\" cannot be written as a URL", absolute.display()), hint: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_for_the_url_and_for_sql() {
        assert_eq!(create_source("Clip", "/a b/it's 5%.mp4").unwrap(), "CREATE SOURCE \"clip\" FROM 'file:///a%20b/it''s%205%25.mp4'");
        assert_eq!(create_source("x\"y", "pattern:").unwrap(), "CREATE SOURCE \"x\"\"y\" FROM 'pattern:'");
    }

    #[test]
    fn the_name_ends_at_the_first_equals_sign() {
        assert_eq!(named_path("clip=a=b.mp4"), Ok(("clip".into(), "a=b.mp4".into())));
        assert!(named_path("=a").is_err() && named_path("clip.mp4").is_err());
    }
}
