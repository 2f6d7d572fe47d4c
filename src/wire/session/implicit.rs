//! The transaction of statements that begin none: those of one simple message, and those of the extended protocol up to Sync.

use super::block::{self, Block};
use super::cursor;
use super::own::{self, Own};
use super::transaction::{Modes, Transaction};
use crate::engine::statement::runs_alone;
use crate::plan::parse::Statement;
use crate::wire::connection::Connection;
use crate::wire::errors::{self, Ended};

/// Goes on with it, or begins it. What reads on and on is in none: it reads what is committed, so what came before is.
pub(in crate::wire) async fn begin(connection: &mut Connection, statement: &Statement) -> Result<(), Ended> {
    let mut outlives = cursor::of(statement).is_none() && connection.session.outlives_block(statement).await;
    if outlives && connection.transaction == Transaction::Implicit {
        commit(connection).await?;
        // A view reads what is committed now, and is made with what comes behind it.
        outlives = connection.session.outlives_block(statement).await;
    }
    if !outlives && connection.transaction == Transaction::Idle {
        connection.block = Block::begin(&connection.session, Modes::default())?;
        connection.transaction = Transaction::Implicit;
    }
    Ok(())
}

/// The same in the extended protocol, where nobody knows how many statements come before Sync. As in Postgres it is no block: what is for one only is told
/// so, and what cannot be in one runs by itself where it is the first. Errs (25P01) for a cursor that would end with it.
pub(in crate::wire) async fn begin_piped(connection: &mut Connection, statement: &Statement) -> Result<(), Ended> {
    if !matches!(connection.transaction, Transaction::Idle | Transaction::Implicit) {
        return Ok(());
    }
    let alone = match own::read(statement)? {
        Some(Own::Declare { hold: false, .. }) => return Err(block::outside("DECLARE CURSOR").into()),
        Some(own) => matches!(own, Own::Transaction(_) | Own::Discard(_)),
        None => runs_alone(statement),
    };
    if alone && connection.transaction == Transaction::Idle {
        return Ok(());
    }
    if let Some(words) = block::for_block(Some(statement)) {
        connection.writer.put(errors::warning("25P01", &block::outside(words).to_string()))?;
    }
    begin(connection, statement).await
}

/// Ends it, if it has begun. Errs if it cannot be kept: then nothing was done.
pub(in crate::wire) async fn commit(connection: &mut Connection) -> Result<(), Ended> {
    if connection.transaction == Transaction::Implicit {
        connection.transaction = Transaction::Idle;
        block::commit(connection).await?;
    }
    Ok(())
}
