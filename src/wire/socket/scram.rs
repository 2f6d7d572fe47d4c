//! Who a client is: SCRAM-SHA-256 (RFC 5802, RFC 7677) against the role's verifier, with nothing to learn for who guesses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::startup::Authentication;

use super::halves::{Reader, Writer};
use crate::engine::password::{Verifier, random};
use crate::engine::roles::Roles;
use crate::error::{Error, Result};
use crate::wire::errors::Ended;

const MECHANISM: &str = "SCRAM-SHA-256";
const NONCE_BYTES: usize = 18;

/// Asks the client for its password and checks it. Errs with 28P01 whether the role, its password or its right to log in is missing.
pub(in crate::wire) async fn check(user: &str, roles: &Roles, reader: &mut Reader, writer: &mut Writer) -> Result<(), Ended> {
    let role = roles.find(user).filter(|role| role.login);
    let verifier = role.and_then(|role| role.verifier).unwrap_or_else(|| Verifier::of_nobody(user));
    writer.put(Message::Authentication(Authentication::SASL(vec![MECHANISM.to_owned()])))?;
    writer.flush().await?;
    let initial = reader.password().await?;
    let first = of_initial(&initial).ok_or_else(malformed)?;
    let mut random_bytes = [0; NONCE_BYTES];
    random(&mut random_bytes).map_err(Ended::Fatal)?;
    let exchange = Exchange::begin(first, &STANDARD.encode(random_bytes), &verifier).ok_or_else(malformed)?;
    let challenge = Bytes::from(exchange.server_first.clone().into_bytes());
    writer.put(Message::Authentication(Authentication::SASLContinue(challenge)))?;
    writer.flush().await?;
    let last = reader.password().await?;
    let last = std::str::from_utf8(&last).map_err(|_| malformed())?;
    let signature = exchange.end(last, &verifier).ok_or_else(malformed)?;
    let Some(signature) = signature else { return Err(Ended::Fatal(wrong(user))) };
    let proof = format!("v={}", STANDARD.encode(signature));
    writer.put(Message::Authentication(Authentication::SASLFinal(Bytes::from(proof.into_bytes()))))
}

fn wrong(user: &str) -> Error {
    Error::Login { code: "28P01", message: format!("password authentication failed for user \"{user}\""), hint: None }
}

fn malformed() -> Ended {
    Ended::Fatal(Error::Protocol("malformed SCRAM message".into()))
}

/// The client's first message in SASLInitialResponse: the mechanism, a length, the data.
fn of_initial(body: &[u8]) -> Option<&str> {
    let end = body.iter().position(|byte| *byte == 0)?;
    let (mechanism, rest) = (body.get(..end)?, body.get(end + 1..)?);
    let (length, data) = rest.split_at_checked(4)?;
    let length = i32::from_be_bytes(length.try_into().ok()?);
    let whole = usize::try_from(length).is_ok_and(|length| length == data.len());
    (mechanism == MECHANISM.as_bytes() && whole).then(|| std::str::from_utf8(data).ok()).flatten()
}

/// Between the server's first message and its last.
struct Exchange {
    /// The client's header: whether it binds the channel.
    header: String,
    client_first_bare: String,
    nonce: String,
    server_first: String,
}

impl Exchange {
    /// None if the client's message is none. The name in it is not looked at: the start message has it.
    fn begin(client_first: &str, ours: &str, verifier: &Verifier) -> Option<Exchange> {
        // `n,,` cannot bind, `y,,` could but thinks that the server cannot, which is so; `p=` binds, which nobody has offered.
        let (flag, rest) = client_first.split_once(',')?;
        let (authorization, bare) = rest.split_once(',')?;
        if !matches!(flag, "n" | "y") || !(authorization.is_empty() || authorization.starts_with("a=")) {
            return None;
        }
        let theirs = bare.split(',').find_map(|part| part.strip_prefix("r=")).filter(|nonce| !nonce.is_empty())?;
        let nonce = format!("{theirs}{ours}");
        let server_first = format!("r={nonce},s={},i={}", STANDARD.encode(&verifier.salt), verifier.rounds);
        Some(Exchange { header: format!("{flag},{authorization},"), client_first_bare: bare.to_owned(), nonce, server_first })
    }

    /// The server's signature if the proof is right, Some(None) if it is wrong, None if the message is none.
    fn end(&self, client_last: &str, verifier: &Verifier) -> Option<Option<Vec<u8>>> {
        let (without_proof, proof) = client_last.rsplit_once(",p=")?;
        let mut parts = without_proof.split(',');
        let (channel, nonce) = (parts.next()?.strip_prefix("c=")?, parts.next()?.strip_prefix("r=")?);
        if STANDARD.decode(channel).ok()? != self.header.as_bytes() || nonce != self.nonce {
            return None;
        }
        let message = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        let proof = STANDARD.decode(proof).ok()?;
        Some(verifier.proves(message.as_bytes(), &proof).then(|| verifier.signature(message.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    /// RFC 7677, section 3: the nonces and the proof are the example's.
    #[test]
    fn the_example_of_the_rfc_is_let_in_and_a_changed_one_is_not() {
        let verifier = Verifier::read(VERIFIER).unwrap();
        let exchange = Exchange::begin("n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", &verifier).unwrap();
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(STANDARD.encode(exchange.end(last, &verifier).unwrap().unwrap()), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert_eq!(exchange.end(&last.replace("p=dH", "p=eH"), &verifier), Some(None));
        assert_eq!(exchange.end(last, &Verifier::of_nobody("user")), Some(None));
        for broken in ["", "c=biws", "c=biws,r=x,p=AA==", "c=AA==,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=AA=="] {
            assert_eq!(exchange.end(broken, &verifier), None, "{broken}");
        }
        for broken in ["", "n", "p=tls-unique,,n=,r=x", "n,,n=user", "n,,n=,r="] {
            assert!(Exchange::begin(broken, "x", &verifier).is_none(), "{broken}");
        }
    }
}
