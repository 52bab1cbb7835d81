//! The objects of the settings, and the keys to them.

use super::Failure;
use crate::{
    config::{Secret, Settings},
    keys::{Keys, MasterKey},
    objects::Objects,
};

/// Where objects are kept, and what they are encrypted with.
pub(super) fn open(settings: &Settings) -> Result<(Objects, Keys), Failure> {
    let objects = Objects::open(&settings.objects_url)?;
    let previous = settings.keys.previous.as_ref().map(master_key).transpose()?;
    let master = match &settings.keys.master {
        Some(secret) => master_key(secret)?,
        None => kept(settings)?,
    };
    Ok((objects.clone(), Keys::new(objects, master, previous)))
}

fn master_key(secret: &Secret) -> Result<MasterKey, Failure> {
    Ok(MasterKey::new(secret.expose().as_bytes())?)
}

/// With a private database the master key is kept beside it; instances that share a database share what
/// is encrypted, so with one it has to be set.
fn kept(settings: &Settings) -> Result<MasterKey, Failure> {
    if settings.database.url.is_some() {
        return Err("keys.master_key is not set: every instance on one database needs the same \
                    secret of at least 32 bytes (set DRR_KEYS__MASTER_KEY or \
                    DRR_KEYS__MASTER_KEY_FILE)"
            .into());
    }
    master_key(&Secret::load_or_create(&settings.data_dir.join("credentials/master_key"))?)
}
