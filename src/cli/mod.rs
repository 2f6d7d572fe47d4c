//! The program's arguments, and what every subcommand needs: a runtime, a log, and a way to say what went wrong.

mod catalog;
mod demo;
mod lines;
mod models;
mod print;
mod run;
mod serve;
mod sql;
mod statement;
mod stop;
mod table;

use std::process::ExitCode;
use std::thread;

use clap::{Parser, Subcommand};
use tokio::runtime::Builder;
use tracing_subscriber::EnvFilter;

use crate::error::{Error, Result};

/// The stack of every thread that plans or runs statements: enough for the deepest that is read. What is not used of it is no memory.
const STACK_BYTES: usize = 256 << 20;

/// A SQL streaming query engine for video.
#[derive(Parser, Debug)]
#[command(name = "framesql", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Play the bundled clip and show the faces in every second of it
    Demo(demo::Demo),
    /// Serve sources and views over the Postgres protocol
    Serve(serve::Serve),
    /// Run the statements of a file in order and print each result
    Run(run::Run),
    /// Type SQL to an engine in this process
    Sql(sql::Sql),
    /// List, pull, verify and remove models
    Models(models::Models),
}

/// Runs the program with the arguments of the process. 0 is success, 1 an error that was printed, 2 an argument that cannot be.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let work = move || start(cli.command);
    let started = thread::Builder::new().name("main".into()).stack_size(STACK_BYTES).spawn(work);
    let ended = match started.map(thread::JoinHandle::join) {
        Ok(Ok(ended)) => ended,
        Ok(Err(_)) => Err(Error::Internal("the program has panicked".into())),
        Err(e) => Err(Error::io("could not start a thread", e)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output has seen enough: `framesql run … | head`.
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> Result<()> {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()
        .map_err(|e| Error::io("could not start the threads of the program", e))?;
    match command {
        Command::Demo(demo) => runtime.block_on(demo.run()),
        Command::Serve(serve) => runtime.block_on(serve.run()),
        Command::Run(run) => runtime.block_on(run.run()),
        Command::Sql(sql) => sql.run(&runtime),
        Command::Models(models) => models.run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_source_on_the_command_line_needs_a_name() {
        assert!(Cli::try_parse_from(["framesql", "run", "q.sql", "--source", "clip.mp4"]).is_err());
        assert!(Cli::try_parse_from(["framesql", "run", "q.sql", "--source", "clip=a=b.mp4", "--source", "c2=x"]).is_ok());
        assert!(Cli::try_parse_from(["framesql", "demo", "--for", "5 parsecs"]).is_err());
    }
}
