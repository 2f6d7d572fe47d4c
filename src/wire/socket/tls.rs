//! Encryption: the certificate that the server shows, given or made at the first start, and what begins a connection under it.

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgwire::tokio::tokio_rustls::TlsAcceptor;
use pgwire::tokio::tokio_rustls::rustls::ServerConfig;
use pgwire::tokio::tokio_rustls::rustls::client::verify_server_name;
use pgwire::tokio::tokio_rustls::rustls::crypto::ring::default_provider;
use pgwire::tokio::tokio_rustls::rustls::pki_types::pem::PemObject;
use pgwire::tokio::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use pgwire::tokio::tokio_rustls::rustls::server::ParsedCertificate;
use rcgen::{CertificateParams, KeyPair};

use crate::engine::private_file;
use crate::error::{Error, Result};

/// The names of the files that are made in the data directory.
const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";

/// What the server shows; a clone shows the same.
#[derive(Clone)]
pub struct Tls {
    pub(in crate::wire) acceptor: TlsAcceptor,
}

impl Tls {
    /// A certificate (PEM, the server's own first) and its private key (PEM). Errs if a file cannot be read, or they do not fit.
    pub fn of_files(certificate: &Path, key: &Path) -> Result<Tls> {
        let read = |path: &Path| std::fs::read(path).map_err(|e| Error::io(format!("could not read file \"{}\"", path.display()), e));
        Tls::of_pem(&read(certificate)?, &read(key)?, &certificate.display().to_string())
    }

    /// The certificate of a data directory, signed by itself: `verify-full` trusts it by name, once a client has it as its root. It is for localhost,
    /// this machine's name and the addresses that it listens at, which are all where `address` is 0.0.0.0; made at the first start, and anew with the
    /// same key where it is not for one of them.
    pub fn of_directory(directory: &Path, address: IpAddr) -> Result<Tls> {
        let (certificate, key): (PathBuf, PathBuf) = (directory.join(CERTIFICATE), directory.join(KEY));
        let names = names(address);
        let there = certificate.exists() && key.exists();
        if there && (!is_ours(&certificate) || is_for(&certificate, &needed(address))) {
            return Tls::of_files(&certificate, &key);
        }
        let failed = |path: &Path, e| Error::io(format!("could not write file \"{}\"", path.display()), e);
        let unmade = |e: rcgen::Error| Error::Internal(format!("no certificate could be made: {e}"));
        let pair = if there {
            // A key that cannot be read is the matter of whoever put it there.
            let text = std::fs::read_to_string(&key).map_err(|e| Error::io(format!("could not read file \"{}\"", key.display()), e))?;
            match KeyPair::from_pem(&text) {
                Ok(pair) => pair,
                Err(_) => return Tls::of_files(&certificate, &key),
            }
        } else {
            let pair = KeyPair::generate().map_err(unmade)?;
            std::fs::create_dir_all(directory).map_err(|e| failed(directory, e))?;
            let written = private_file::create(&key).and_then(|mut file| file.write_all(pair.serialize_pem().as_bytes()));
            written.map_err(|e| failed(&key, e))?;
            pair
        };
        let made = CertificateParams::new(names).and_then(|params| params.self_signed(&pair)).map_err(unmade)?;
        let new = certificate.with_extension("new");
        std::fs::write(&new, made.pem()).and_then(|()| std::fs::rename(&new, &certificate)).map_err(|e| failed(&certificate, e))?;
        tracing::info!(path = %certificate.display(), "a certificate was made for the names and addresses of this server");
        Tls::of_files(&certificate, &key)
    }

    fn of_pem(certificate: &[u8], key: &[u8], name: &str) -> Result<Tls> {
        let refuse = |reason: String| Error::Option {
            message: format!("certificate \"{name}\" cannot be used: {reason}"),
            hint: Some("Give a certificate and its private key as PEM.".into()),
        };
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(certificate).collect::<std::result::Result<_, _>>().map_err(|e| refuse(e.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| refuse(e.to_string()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|e| refuse(e.to_string()))?;
        Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

/// What a server is called that listens at an address.
fn names(address: IpAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !address.is_loopback() {
        names.extend(hostname::get().ok().and_then(|name| name.into_string().ok()));
    }
    if address.is_unspecified() {
        // Where the system does not tell them, its name is left.
        names.extend(if_addrs::get_if_addrs().into_iter().flatten().map(|one| one.ip().to_string()));
    } else {
        names.push(address.to_string());
    }
    names.retain(|name| ServerName::try_from(name.as_str()).is_ok());
    names.sort();
    names.dedup();
    names
}

/// For which of them a certificate that is there has to be. Where a server listens everywhere it is its name alone: its addresses come and go, and who trusts
/// the certificate as it is would not trust another.
fn needed(address: IpAddr) -> Vec<String> {
    let own = names(address).into_iter().filter(|name| name.parse::<IpAddr>().is_err());
    if address.is_unspecified() { own.collect() } else { vec!["localhost".to_owned(), address.to_string()] }
}

/// Whether a certificate was made here: it has the name that rcgen gives where none is said.
fn is_ours(certificate: &Path) -> bool {
    const SUBJECT: &[u8] = b"rcgen self signed cert";
    let Ok(pem) = std::fs::read(certificate) else { return false };
    let der = CertificateDer::pem_slice_iter(&pem).next();
    matches!(der, Some(Ok(der)) if der.windows(SUBJECT.len()).any(|part| part == SUBJECT))
}

/// Whether a certificate is for all of the names; one that cannot be read is left as it is.
fn is_for(certificate: &Path, names: &[String]) -> bool {
    let Ok(pem) = std::fs::read(certificate) else { return true };
    let Some(Ok(der)) = CertificateDer::pem_slice_iter(&pem).next() else { return true };
    let Ok(parsed) = ParsedCertificate::try_from(&der) else { return true };
    names.iter().filter_map(|name| ServerName::try_from(name.as_str()).ok()).all(|name| verify_server_name(&parsed, &name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let address = IpAddr::from([127, 0, 0, 1]);
        Tls::of_directory(folder.path(), address).unwrap();
        let first = std::fs::read(folder.path().join(CERTIFICATE)).unwrap();
        Tls::of_directory(folder.path(), address).unwrap();
        assert_eq!(std::fs::read(folder.path().join(CERTIFICATE)).unwrap(), first);
        // For another address there is another, which is for this one too.
        let key = std::fs::read(folder.path().join(KEY)).unwrap();
        Tls::of_directory(folder.path(), IpAddr::from([192, 0, 2, 7])).unwrap();
        let second = std::fs::read(folder.path().join(CERTIFICATE)).unwrap();
        assert!(second != first && std::fs::read(folder.path().join(KEY)).unwrap() == key);
        let is_for_it =
            |names: &[&str]| is_for(&folder.path().join(CERTIFICATE), &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert!(is_for_it(&["192.0.2.7", "localhost", "::1"]) && !is_for_it(&["192.0.2.8"]));
        Tls::of_directory(folder.path(), address).unwrap();
        assert_eq!(std::fs::read(folder.path().join(CERTIFICATE)).unwrap(), second);
        std::fs::write(folder.path().join(KEY), "no key").unwrap();
        assert_eq!(Tls::of_directory(folder.path(), address).err().unwrap().sqlstate(), "22023");
    }
}
