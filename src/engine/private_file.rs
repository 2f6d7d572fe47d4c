//! Files that nobody but their owner reads: they hold keys and the verifiers of passwords.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Opens an empty file of that name for writing.
pub fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // One that is there already keeps the rights that it has.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}
