//! What the clients in Rust say: a line a check, a count at the end, and the exit code.

use std::fmt::Debug;
use std::future::Future;
use std::process::ExitCode;

/// Any error, so that a check may use `?` on whatever its driver gives.
pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Counts checks.
#[derive(Default)]
pub struct Checks {
    passed: usize,
    failed: usize,
}

impl Checks {
    /// Runs one check; one that errs has failed, and the next is run.
    pub async fn run(&mut self, name: &str, check: impl Future<Output = Outcome>) {
        match check.await {
            Ok(()) => {
                self.passed += 1;
                println!("ok      {name}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED  {name}: {}", format!("{error:?}").replace('\n', " "));
            }
        }
    }

    /// What PostgreSQL allows and the server does not: the error has these words. When it is allowed one day, the check fails and becomes another.
    pub async fn refused(&mut self, name: &str, words: &str, check: impl Future<Output = Outcome>) {
        match check.await {
            Err(error) if error.to_string().contains(words) => {
                self.passed += 1;
                println!("refused {name}: {words}");
            }
            other => {
                self.failed += 1;
                println!("FAILED  {name}: {}", format!("{other:?}").replace('\n', " "));
            }
        }
    }

    /// The exit code.
    pub fn end(self) -> ExitCode {
        println!("{} passed, {} failed", self.passed, self.failed);
        ExitCode::from(u8::from(self.failed > 0 || self.passed == 0))
    }
}

/// Errs with both where they differ.
pub fn equal<A: Debug + PartialEq<B>, B: Debug>(found: A, expected: B) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("expected {expected:?}, found {found:?}").into()) }
}

/// The version of a crate in the lock file.
pub fn version(name: &str) -> Option<&'static str> {
    let lock = include_str!("../Cargo.lock");
    let package = lock.split("[[package]]").find(|p| p.contains(&format!("\nname = \"{name}\"\n")))?;
    package.lines().find_map(|l| l.strip_prefix("version = \"")?.strip_suffix('"'))
}

/// How libpq would find the server, as a URL.
pub fn url() -> String {
    let part = |name: &str| std::env::var(name).unwrap_or_default();
    format!("postgresql://{}@{}:{}/{}", part("PGUSER"), part("PGHOST"), part("PGPORT"), part("PGDATABASE"))
}
