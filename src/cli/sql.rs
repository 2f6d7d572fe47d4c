//! `framesql sql`: an interactive shell on an engine in this process, with psql's manners.

use std::path::PathBuf;

use clap::Args;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, history::History};
use tokio::runtime::Runtime;

use super::table::Format;
use super::{catalog, print, statement};
use crate::clock::Stopwatch;
use crate::engine::Engine;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::wire::dialect;

const HELP: &str = "\
  SQL ends with a semicolon; Ctrl-C cancels it.
  \\d           list sources and views
  \\d NAME      the columns of one
  \\dt          list sources
  \\dm          list materialized views
  \\timing      show how long each statement takes, or stop showing it
  \\?           this list
  \\q           leave
";

/// The arguments.
#[derive(Args, Debug)]
pub(super) struct Sql {
    /// The directory of the catalogue [default: in memory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Sql {
    /// Reads lines on this thread and runs statements on the runtime, until `\q` or the end of the input.
    pub(super) fn run(self, runtime: &Runtime) -> Result<()> {
        let engine = runtime.block_on(Engine::open_with(Settings { data: self.data, ..Settings::from_environment()? }, Some(dialect())))?;
        let session = engine.session("framesql", "framesql");
        // The same SQL as over the wire.
        let result = dialect()(&session).and_then(|()| Shell { runtime, session: &session, timing: false, typed: String::new() }.read());
        drop(session);
        runtime.block_on(engine.shutdown());
        result
    }
}

/// The shell between two lines.
struct Shell<'a> {
    runtime: &'a Runtime,
    session: &'a Session,
    timing: bool,
    /// What has been typed of a statement whose semicolon has not come.
    typed: String,
}

impl Shell<'_> {
    fn read(&mut self) -> Result<()> {
        let mut editor = DefaultEditor::new().map_err(terminal)?;
        let history = history_file();
        if let Some(file) = &history
            && let Err(error) = editor.load_history(file)
        {
            tracing::debug!(%error, "no history");
        }
        if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            print::line(&format!("framesql {}. Type \\? for help, \\q to leave.", env!("CARGO_PKG_VERSION")))?;
        }
        loop {
            match editor.readline(if self.typed.is_empty() { "framesql=> " } else { "framesql-> " }) {
                Ok(line) => {
                    let leave = self.line(&line)?;
                    if self.typed.is_empty() && !line.trim().is_empty() {
                        // The history is a comfort: that it cannot be kept stops nobody.
                        let _ = editor.add_history_entry(line.trim_end());
                    }
                    if leave {
                        break;
                    }
                }
                Err(ReadlineError::Interrupted) => self.typed.clear(),
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(terminal(error)),
            }
        }
        if let Some(file) = history.filter(|_| !editor.history().is_empty())
            && let Err(error) = editor.save_history(&file)
        {
            tracing::debug!(%error, "the history could not be kept");
        }
        Ok(())
    }

    /// Takes one line. True to leave.
    fn line(&mut self, line: &str) -> Result<bool> {
        let word = line.trim().trim_end_matches(';').trim_end();
        if self.typed.is_empty() {
            match word {
                "" => return Ok(false),
                "\\q" | "quit" | "exit" => return Ok(true),
                command if command.starts_with('\\') => return self.command(command).map(|()| false),
                _ => {}
            }
        }
        self.typed.push_str(line);
        self.typed.push('\n');
        if complete(&self.typed) {
            let script = std::mem::take(&mut self.typed);
            self.script(&script)?;
        }
        Ok(false)
    }

    fn command(&mut self, command: &str) -> Result<()> {
        let (name, argument) = command.split_once(char::is_whitespace).map_or((command, ""), |(n, a)| (n, a.trim()));
        match (name, argument) {
            ("\\?" | "\\h", _) => print::out(HELP),
            ("\\timing", _) => {
                self.timing = match argument {
                    "on" => true,
                    "off" => false,
                    _ => !self.timing,
                };
                print::line(if self.timing { "Timing is on." } else { "Timing is off." })
            }
            ("\\d" | "\\dt" | "\\dm", "") => told(self.runtime.block_on(catalog::list(self.session, name))),
            ("\\d", relation) => told(self.runtime.block_on(catalog::columns(self.session, relation))),
            _ => {
                print::aside(&format!("invalid command {name}\nTry \\? for help.\n"));
                Ok(())
            }
        }
    }

    /// Runs what was typed. An error is printed and ends the script, not the shell.
    fn script(&self, script: &str) -> Result<()> {
        let statements = match self.session.parse(script) {
            Ok(statements) => statements,
            Err(error) => return told(Err(error)),
        };
        for one in &statements {
            let watch = Stopwatch::start();
            let result = self.runtime.block_on(statement::run_until_interrupted(self.session, one, Format::Table));
            let failed = result.is_err();
            told(result)?;
            if self.timing {
                print::line(&format!("Time: {:.3} ms", watch.elapsed().as_secs_f64() * 1e3))?;
            }
            if failed {
                break;
            }
        }
        Ok(())
    }
}

/// Prints an error and goes on; only an output that nobody reads any more ends the shell.
fn told(result: Result<()>) -> Result<()> {
    match result {
        Err(Error::Io { message, source }) if source.kind() == std::io::ErrorKind::BrokenPipe => Err(Error::Io { message, source }),
        Err(error) => {
            print::error(&error);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn terminal(error: ReadlineError) -> Error {
    Error::io("could not read the terminal", std::io::Error::other(error))
}

/// Whether the text ends with a semicolon that is outside quotes and comments.
fn complete(typed: &str) -> bool {
    match Tokenizer::new(&PostgreSqlDialect {}, typed).tokenize() {
        Ok(tokens) => tokens.iter().rfind(|t| !matches!(t, Token::Whitespace(_) | Token::EOF)) == Some(&Token::SemiColon),
        // An open quote or comment may still close; any other mistake is for the parser to word, at the semicolon.
        Err(error) => {
            !error.message.to_lowercase().contains("untermin") && !error.message.contains("EOF") && typed.trim_end().ends_with(';')
        }
    }
}

/// `$XDG_STATE_HOME/framesql/history`, its folder made; None without a home.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let folder = state.or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))?.join("framesql");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

#[cfg(test)]
mod tests {
    use super::complete;

    #[test]
    fn a_statement_is_complete_at_a_semicolon_outside_quotes_and_comments() {
        assert!(complete("SELECT 1;\n"));
        assert!(complete("SELECT 'a;b' ; -- done\n"));
        assert!(!complete("SELECT 1\n"));
        assert!(!complete("SELECT ';\n"));
        assert!(!complete("SELECT 1 /* ;\n"));
        assert!(!complete("SELECT \"a;\n"));
        assert!(!complete("SELECT 1 -- ;\n"));
        assert!(!complete("SELECT $$ ;\n"));
    }
}
