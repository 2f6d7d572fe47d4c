//! A password as it is kept: a verifier of SCRAM-SHA-256 (RFC 5802, RFC 7677), from which nobody can log in.

use std::borrow::Cow;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

use crate::error::{Error, Result};

/// Rounds of the hash, as in Postgres.
const ROUNDS: u32 = 4096;
const SALT_BYTES: usize = 16;

/// What a server needs to check a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    /// Rounds of the hash.
    pub rounds: u32,
    /// What the password was salted with.
    pub salt: Vec<u8>,
    /// The hash of the key that a client proves to have.
    pub stored_key: Vec<u8>,
    /// The key by which the server proves to know the verifier.
    pub server_key: Vec<u8>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No log shows it.
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// The verifier of a password, which may be given as one already, as pg_dumpall and psql's \password do.
    pub fn of_password(password: &str) -> Result<Verifier> {
        if let Some(ready) = Verifier::read(password) {
            return Ok(ready);
        }
        if password.is_empty() {
            return Err(Error::Option { message: "a password cannot be empty".into(), hint: None });
        }
        let mut salt = vec![0; SALT_BYTES];
        random(&mut salt)?;
        Ok(Verifier::salted(password, salt, ROUNDS))
    }

    fn salted(password: &str, salt: Vec<u8>, rounds: u32) -> Verifier {
        // As in Postgres: what cannot be normalised is taken as it is.
        let password = stringprep::saslprep(password).unwrap_or(Cow::Borrowed(password));
        let mut salted = [0; digest::SHA256_OUTPUT_LEN];
        let rounds_at_least_one = NonZeroU32::new(rounds).unwrap_or(NonZeroU32::MIN);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds_at_least_one, &salt, password.as_bytes(), &mut salted);
        let client_key = hmac_of(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key).as_ref().to_vec();
        Verifier { rounds, salt, stored_key, server_key: hmac_of(&salted, b"Server Key") }
    }

    /// One that no password fits, for a role that does not exist: who guesses names learns nothing from the answer.
    pub fn of_nobody(name: &str) -> Verifier {
        let salt = digest::digest(&digest::SHA256, name.as_bytes()).as_ref().iter().copied().take(SALT_BYTES).collect();
        Verifier { rounds: ROUNDS, salt, stored_key: Vec::new(), server_key: Vec::new() }
    }

    /// Reads `SCRAM-SHA-256$rounds:salt$stored key:server key`. None if it is not of that form.
    pub fn read(text: &str) -> Option<Verifier> {
        let mut parts = text.strip_prefix("SCRAM-SHA-256$")?.split(['$', ':']);
        let rounds: u32 = parts.next()?.parse().ok().filter(|rounds| (1..=1_000_000).contains(rounds))?;
        let mut bytes = || STANDARD.decode(parts.next()?).ok();
        let (salt, stored_key, server_key) = (bytes()?, bytes()?, bytes()?);
        let whole =
            parts.next().is_none() && stored_key.len() == digest::SHA256_OUTPUT_LEN && server_key.len() == digest::SHA256_OUTPUT_LEN;
        whole.then_some(Verifier { rounds, salt, stored_key, server_key })
    }

    /// The form that `read` reads.
    pub fn text(&self) -> String {
        let [salt, stored, server] = [&self.salt, &self.stored_key, &self.server_key].map(|bytes| STANDARD.encode(bytes));
        format!("SCRAM-SHA-256${}:{salt}${stored}:{server}", self.rounds)
    }

    /// Whether a client that has signed `message` so knows the password.
    pub fn proves(&self, message: &[u8], proof: &[u8]) -> bool {
        let signature = hmac_of(&self.stored_key, message);
        if proof.len() != signature.len() || self.stored_key.is_empty() {
            return false;
        }
        let client_key: Vec<u8> = signature.iter().zip(proof).map(|(a, b)| a ^ b).collect();
        let found = digest::digest(&digest::SHA256, &client_key);
        // In the same time whatever differs.
        found.as_ref().iter().zip(&self.stored_key).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }

    /// The server's own proof over the same message.
    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        hmac_of(&self.server_key, message)
    }
}

/// Random bytes from the system. Errs (58030) if it has none.
pub fn random(bytes: &mut [u8]) -> Result<()> {
    let failed = |_| Error::io("could not read random bytes", std::io::Error::other("the system has none"));
    SystemRandom::new().fill(bytes).map_err(failed)
}

fn hmac_of(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, section 3.
    #[test]
    fn the_example_of_the_rfc_is_proved() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = Verifier::salted("pencil", salt, 4096);
        let message = b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        assert!(verifier.proves(message, &proof));
        assert!(!verifier.proves(b"another", &proof));
        assert_eq!(STANDARD.encode(verifier.signature(message)), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert_eq!(Verifier::read(&verifier.text()), Some(verifier));
        assert!(!Verifier::of_nobody("ada").proves(message, &proof));
        for text in ["", "pencil", "SCRAM-SHA-256$4096:AA==$AA==:AA==", "SCRAM-SHA-256$x"] {
            assert_eq!(Verifier::read(text), None);
        }
    }
}
