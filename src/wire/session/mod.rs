//! What a connection keeps between its messages: prepared statements, portals, cursors, transactions and channels.

pub(super) mod block;
pub(super) mod cancel;
pub(super) mod cursor;
pub(super) mod implicit;
pub(super) mod notify;
pub(super) mod own;
pub(super) mod portal;
pub(super) mod prepared;
pub(super) mod recent;
pub(super) mod transaction;
