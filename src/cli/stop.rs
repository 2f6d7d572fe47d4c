//! When the process is asked to end: Ctrl-C, or SIGTERM.

/// Ends at the next Ctrl-C or SIGTERM; never, if the system does not tell.
pub(super) async fn asked() {
    tokio::select! {
        () = interrupted() => {}
        () = terminated() => {}
    }
}

/// Ends at the next Ctrl-C.
pub(super) async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!(%error, "Ctrl-C cannot be heard");
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};

    let heard = match signal(SignalKind::terminate()) {
        Ok(mut terminate) => terminate.recv().await.is_some(),
        Err(_) => false,
    };
    if !heard {
        std::future::pending::<()>().await;
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending::<()>().await;
}
