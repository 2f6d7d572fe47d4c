//! Encryption: the certificate that the server shows, given or made at the first start, and what begins a connection under it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgwire::tokio::tokio_rustls::TlsAcceptor;
use pgwire::tokio::tokio_rustls::rustls::ServerConfig;
use pgwire::tokio::tokio_rustls::rustls::crypto::ring::default_provider;
use pgwire::tokio::tokio_rustls::rustls::pki_types::pem::PemObject;
use pgwire::tokio::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

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

    /// The certificate of a data directory, signed by itself and made if it is not there yet: `verify-full` trusts it by name, once a client
    /// has it as its root. `address` is a name of the server beside localhost.
    pub fn of_directory(directory: &Path, address: IpAddr) -> Result<Tls> {
        let (certificate, key): (PathBuf, PathBuf) = (directory.join(CERTIFICATE), directory.join(KEY));
        if !certificate.exists() || !key.exists() {
            let (certificate_pem, key_pem) = signed_by_itself(address)?;
            let failed = |path: &Path, e| Error::io(format!("could not write file \"{}\"", path.display()), e);
            std::fs::create_dir_all(directory).map_err(|e| failed(directory, e))?;
            private(&key).and_then(|mut file| file.write_all(key_pem.as_bytes())).map_err(|e| failed(&key, e))?;
            std::fs::write(&certificate, certificate_pem).map_err(|e| failed(&certificate, e))?;
        }
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

/// A file that only its owner reads.
fn private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A certificate for localhost and one more address, and its key.
fn signed_by_itself(address: IpAddr) -> Result<(String, String)> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), address.to_string()];
    let made = rcgen::generate_simple_self_signed(names).map_err(|e| Error::Internal(format!("no certificate could be made: {e}")))?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
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
        std::fs::write(folder.path().join(KEY), "no key").unwrap();
        assert_eq!(Tls::of_directory(folder.path(), address).err().unwrap().sqlstate(), "22023");
    }
}
