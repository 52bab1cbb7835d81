//! The passwords of the private cluster: random, one file each, readable by this program only.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rand::TryRngCore;
use secrecy::{ExposeSecret, SecretString};

use super::error::EmbeddedError;

/// Bytes of randomness in a password; it is written as twice as many hexadecimal digits.
const PASSWORD_BYTES: usize = 32;

/// The folder with one file per role.
#[derive(Debug, Clone)]
pub(super) struct Credentials {
    folder: PathBuf,
}

impl Credentials {
    /// The credentials kept in `folder`, which is made if it is not there.
    pub(super) fn open(folder: PathBuf) -> Result<Self, EmbeddedError> {
        let mut builder = std::fs::DirBuilder::new();
        match builder.mode(0o700).create(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(EmbeddedError::io("make the folder", folder)(error))
            }
            _ => Ok(Self { folder }),
        }
    }

    /// The password of `role`, which must be there.
    pub(super) fn load(&self, role: &str) -> Result<SecretString, EmbeddedError> {
        let path = self.folder.join(role);
        match std::fs::read_to_string(&path) {
            // Only what `create` has written is taken: it is put into statements as it is.
            Ok(text)
                if text.len() == 2 * PASSWORD_BYTES
                    && text.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                Ok(SecretString::from(text))
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(EmbeddedError::io("read", path)(error))
            }
            _ => Err(EmbeddedError::CredentialLost { path }),
        }
    }

    /// The password of `role`; a new one if it has none.
    pub(super) fn load_or_create(&self, role: &str) -> Result<SecretString, EmbeddedError> {
        if self.folder.join(role).exists() { self.load(role) } else { self.create(role) }
    }

    /// A new password for `role`, kept before it is returned.
    pub(super) fn create(&self, role: &str) -> Result<SecretString, EmbeddedError> {
        let path = self.folder.join(role);
        let mut bytes = [0_u8; PASSWORD_BYTES];
        rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(|error| {
            EmbeddedError::io("draw a password for", &path)(std::io::Error::other(error))
        })?;
        let password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let password = SecretString::from(password);
        write_private(&path, password.expose_secret())
            .map_err(EmbeddedError::io("keep the password in", &path))?;
        Ok(password)
    }
}

/// All or nothing, and on the disk when it returns.
fn write_private(path: &Path, content: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(content.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_private_kept_and_never_replaced_silently() {
        let top = tempfile::tempdir().unwrap();
        let credentials = Credentials::open(top.path().join("credentials")).unwrap();
        let first = credentials.load_or_create("role").unwrap();
        let again = credentials.load_or_create("role").unwrap();
        assert_eq!(first.expose_secret(), again.expose_secret());
        let path = top.path().join("credentials/role");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(
            credentials.create("other").unwrap().expose_secret(),
            first.expose_secret(),
            "two roles have the same password"
        );
        std::fs::write(&path, "'; DROP ROLE drr_owner; --").unwrap();
        let refused = credentials.load_or_create("role").unwrap_err();
        assert!(matches!(refused, EmbeddedError::CredentialLost { .. }), "{refused}");
    }
}
