//! `framesql serve`: an engine behind the Postgres protocol, until Ctrl-C or SIGTERM.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{print, stop};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::wire::{Listener, Tls, dialect};

/// The arguments.
#[derive(Args, Debug)]
pub(super) struct Serve {
    /// The address and port to listen on; port 0 takes a free one. Beyond loopback it takes a certificate and passwords
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5433")]
    listen: SocketAddr,
    /// The directory of the catalogue [default: in memory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The certificate that clients are shown (PEM) [default: made in the directory of --data, signed by itself]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// A directory that sources may be read from, any number of times [default: the working directory]
    #[arg(long, value_name = "DIR")]
    files: Vec<PathBuf>,
}

impl Serve {
    pub(super) async fn run(self) -> Result<()> {
        // The port comes first: with none to serve on, nothing else is worth starting.
        let mut listener = Listener::bind(self.listen).await?;
        let directory = self.data.clone();
        let engine =
            Engine::open_with(Settings { data: self.data, files: fence(self.files)?, ..Settings::from_environment()? }, Some(dialect()))
                .await?;
        // After the engine, which has the directory for itself.
        let tls = match (&self.tls_certificate, &self.tls_key, &directory) {
            (Some(certificate), Some(key), _) => Some(Tls::of_files(certificate, key)?),
            (_, _, Some(directory)) => Some(Tls::of_directory(directory, self.listen.ip())?),
            _ => None,
        };
        if let Some(tls) = tls {
            listener = listener.with_tls(tls);
        }
        listener.check(&engine)?;
        // Signals are heard from here on: whoever reads the next line may send one at once.
        let mut stop = Box::pin(stop::asked());
        let _ = futures::poll!(&mut stop);
        print::line(&format!("framesql {} listening on {}", env!("CARGO_PKG_VERSION"), listener.local_addr()?))?;
        let result = listener.serve(std::sync::Arc::clone(&engine), stop).await;
        // Whoever asks twice does not want to wait.
        tokio::select! {
            () = engine.shutdown() => {}
            () = stop::asked() => {}
        }
        result
    }
}

/// The directories given, or the working directory. Errs if one of them is not a directory.
fn fence(files: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let files = if files.is_empty() { vec![PathBuf::from(".")] } else { files };
    let canonical = |directory: PathBuf| {
        let found = directory.canonicalize().map_err(|e| Error::io(format!("could not find directory \"{}\"", directory.display()), e))?;
        match found.is_dir() {
            true => Ok(found),
            false => Err(Error::Option { message: format!("\"{}\" is not a directory", directory.display()), hint: None }),
        }
    };
    files.into_iter().map(canonical).collect()
}
