//! Between the socket and the messages: bytes in and out, encryption, and who gets in.

mod decode;
pub(super) mod halves;
mod scram;
pub(super) mod startup;
pub(super) mod tls;
