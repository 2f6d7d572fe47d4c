//! `framesql demo`: the bundled clip as a camera, the faces in every second of it as a view, printed here and served to psql.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::oneshot;

use super::table::{Layout, Writer};
use super::{print, run, stop};
use crate::clock::Stopwatch;
use crate::engine::Engine;
use crate::engine::outcome::Outcome;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::plan::column_names::Names;
use crate::settings::{Settings, duration_us};
use crate::wire::Listener;

/// media/README.md says what is in it and whose photographs they are.
const CLIP: &[u8] = include_bytes!("../../media/lobby.mp4");
const CLIP_LENGTH: Duration = Duration::from_secs(12);

const VIEW: &str = "\
CREATE MATERIALIZED VIEW faces_per_second AS
  SELECT source, window_start, window_end, count(*) AS frames, sum(cardinality(detect_faces(frame))) AS faces
  FROM TUMBLE(lobby, ts, INTERVAL '1 second') GROUP BY source, window_start, window_end;";

/// The arguments.
#[derive(Args, Debug)]
pub(super) struct Demo {
    /// End after this long, such as 5s [default: at Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = length)]
    length: Option<Duration>,
    /// The loopback address and port to serve on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5433")]
    listen: SocketAddr,
}

impl Demo {
    pub(super) async fn run(self) -> Result<()> {
        let (listener, taken) = listen(self.listen).await?;
        let address = listener.local_addr()?;
        // The folder goes when this function ends.
        let folder =
            tempfile::Builder::new().prefix("framesql-").tempdir().map_err(|e| Error::io("could not make a temporary directory", e))?;
        let clip = folder.path().join("lobby.mp4");
        std::fs::write(&clip, CLIP).map_err(|e| Error::io(format!("could not write file \"{}\"", clip.display()), e))?;
        let source =
            format!("CREATE SOURCE lobby FROM '{}' WITH (pace = 'realtime', loop = true);", run::file_url(&clip)?.replace('\'', "''"));

        let files = vec![folder.path().to_owned(), PathBuf::from(".")];
        let engine = Engine::open(Settings { files, ..Settings::from_environment()? }).await?;
        let session = engine.session("framesql", "framesql");
        if taken {
            print::line(&format!("{} is in use, so this is on {address}.", self.listen))?;
        }
        print::line(&format!("{source}\n{VIEW}\n\nThe same in psql:\n\n  {}\n", psql(address)))?;

        let (ended, end) = oneshot::channel::<()>();
        let serving = listener.serve(Arc::clone(&engine), async {
            // It ends when the other half is dropped.
            let _ = end.await;
        });
        let watching = async {
            let result = self.watch(&session, &source).await;
            drop(ended);
            result
        };
        let (served, watched) = tokio::join!(serving, watching);
        drop(session);
        tokio::select! {
            () = engine.shutdown() => {}
            () = stop::asked() => {}
        }
        watched.and(served)
    }

    /// Makes the source and the view, and prints the view's rows until the time is over or the user has seen enough.
    async fn watch(&self, session: &Session, source: &str) -> Result<()> {
        let bar = progress_bar(self.length);
        let result = tokio::select! {
            result = rows(session, source, &bar) => result,
            () = stop::asked() => Ok(()),
            () = over(self.length) => Ok(()),
            never = advance(&bar) => match never {},
        };
        bar.finish_and_clear();
        result
    }
}

/// The listener, and whether the port was taken so that another one serves.
async fn listen(address: SocketAddr) -> Result<(Listener, bool)> {
    match Listener::bind(address).await {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::AddrInUse => {
            Ok((Listener::bind(SocketAddr::new(address.ip(), 0)).await?, true))
        }
        other => Ok((other?, false)),
    }
}

fn psql(address: SocketAddr) -> String {
    format!(
        "psql -h {} -p {} -U framesql -c \"SELECT * FROM faces_per_second ORDER BY window_start DESC LIMIT 10\"",
        address.ip(),
        address.port()
    )
}

fn length(text: &str) -> Result<Duration, String> {
    let us = duration_us(text, 1_000_000).and_then(|us| u64::try_from(us).ok());
    us.map(Duration::from_micros).ok_or_else(|| "write a number and a unit, such as 5s or 2min".to_owned())
}

/// Ends after that long; never, without a length.
async fn over(length: Option<Duration>) {
    match length {
        Some(length) => tokio::time::sleep(length).await,
        None => std::future::pending().await,
    }
}

async fn rows(session: &Session, source: &str, bar: &ProgressBar) -> Result<()> {
    let script = format!("{source}\n{VIEW}\nSUBSCRIBE faces_per_second;");
    for statement in session.parse(&script)? {
        let mut stream = match session.execute(&statement, Vec::new()).await? {
            Outcome::Rows { stream, .. } | Outcome::Copy { stream, .. } => stream,
            Outcome::Done { .. } => continue,
        };
        let mut writer = Writer::new(Layout::Live, &stream.schema(), &Names::of_statement(&statement));
        while let Some(batch) = stream.next().await {
            let text = writer.rows(&batch?)?;
            if !text.is_empty() {
                bar.suspend(|| print::out(&text))?;
            }
        }
    }
    Err(Error::Internal("the demo's camera has ended".to_owned()))
}

/// The way through the time given, or through the clip; hidden where standard error is no terminal.
fn progress_bar(length: Option<Duration>) -> ProgressBar {
    let (whole, word) = length.map_or((CLIP_LENGTH, "of the clip, Ctrl-C ends"), |length| (length, "of the demo"));
    let length_ms = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX).max(1);
    let bar = ProgressBar::with_draw_target(Some(length_ms), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {msg}") {
        bar.set_style(style);
    }
    bar.set_message(format!("{} s {word}", whole.as_secs_f64()));
    bar
}

/// Moves the bar on, round and round.
async fn advance(bar: &ProgressBar) -> std::convert::Infallible {
    let watch = Stopwatch::start();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        let elapsed_ms = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
        bar.set_position(elapsed_ms % bar.length().unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::parse::{Body, parse};

    #[test]
    fn the_view_that_is_shown_is_one_that_parses() {
        let statements = parse(VIEW).unwrap();
        assert!(matches!(statements.first().map(|s| &s.body), Some(Body::CreateView { materialized: true, .. })));
        assert!(CLIP.len() < 1_500_000);
    }

    #[test]
    fn a_length_is_in_seconds_unless_it_says_otherwise() {
        assert_eq!(length("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(length("5"), Ok(Duration::from_secs(5)));
        assert_eq!(length("2 min"), Ok(Duration::from_secs(120)));
        assert!(length("soon").is_err());
    }
}
