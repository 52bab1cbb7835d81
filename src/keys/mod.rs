//! Encryption of what lies outside of the database: a data key for each tenant, wrapped by a master key.
//!
//! The master key is the surroundings' (`keys.master_key`), and in no store. A data key is an object
//! itself (`keys/tenant-<code>/<number>`), wrapped by the master key: whoever has the objects and the
//! master key can read them without the database, and without the master key nobody can. To replace the
//! master key only the data keys are wrapped anew ([`Keys::rewrap`]); what they encrypt stays as it is.
//!
//! A sealed object is `DRR1`, the number of the data key (four bytes, the highest first), a nonce of 12
//! bytes, and what AES-256-GCM made of the content, with its tag at the end. Those first bytes and the
//! object's name are bound to it: one that is altered, cut off, lengthened, or put in another's place
//! does not open. It is opened as a whole or not at all, so that nothing of it is believed too early;
//! what grows without bounds is cut into many by whoever makes it.

use std::sync::Arc;

use aws_lc_rs::error::Unspecified;
use bytes::Bytes;
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};

use crate::{
    auth::TenantId,
    error::{Error, Result},
    objects::Objects,
};
use cipher::Cipher;
pub use master::{MasterKey, WeakMasterKey};

mod cipher;
mod master;
#[cfg(test)]
mod tests;

/// What a sealed object begins with.
const MAGIC: &[u8; 4] = b"DRR1";
/// The first bytes of one, and the number of its data key.
const HEAD: usize = MAGIC.len() + size_of::<u32>();
/// Below this are the data keys.
const FOLDER: &str = "keys";

/// Seals and opens objects; cheap to clone.
#[derive(Debug, Clone)]
pub struct Keys {
    objects: Objects,
    /// The one in use first.
    masters: Arc<[MasterKey]>,
}

/// The objects of tenants, sealed; cheap to clone. An object's name is found by whoever knows the tenant.
#[derive(Debug, Clone)]
pub struct Sealed {
    objects: Objects,
    keys: Keys,
}

impl Sealed {
    /// Those among `objects`, sealed by `keys`.
    #[must_use]
    pub const fn new(objects: Objects, keys: Keys) -> Self {
        Self { objects, keys }
    }

    /// Puts an object there unless there is one of that name; it is durable when this returns.
    ///
    /// # Errors
    /// [`KeyError`], or what the store answers.
    pub async fn create(&self, tenant: &TenantId, name: &str, content: Vec<u8>) -> Result<()> {
        let sealed = self.keys.seal(tenant, name, content).await?;
        self.objects.create(name, sealed).await?;
        Ok(())
    }

    /// The content of an object, if it is there.
    ///
    /// # Errors
    /// [`KeyError`], or what the store answers.
    pub async fn get(&self, tenant: &TenantId, name: &str) -> Result<Option<Vec<u8>>> {
        match self.objects.get(name).await? {
            Some(sealed) => self.keys.open(tenant, name, &sealed).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Why something was not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not one bit of a sealed object may be another one, and none may stand in another's place.
    #[error("{0} is not what was put there: it does not open")]
    Altered(String),
    /// The data key that an object names is not there.
    #[error("the data key {0} is gone")]
    NoDataKey(String),
    /// Neither the master key nor the one before is that of a data key.
    #[error("{data_key} is wrapped by the master key {master}, which this program does not have")]
    NoMasterKey {
        /// The data key.
        data_key: String,
        /// The master key's name.
        master: String,
    },
    /// The library refused.
    #[error("nothing could be encrypted")]
    Refused,
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        Self::internal(error)
    }
}

/// A data key as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Wrapped {
    /// The name of the master key.
    master: String,
    /// What it made of the data key, in hexadecimal.
    wrapped: String,
}

impl Keys {
    /// Keys that are kept among `objects`. `previous` is the master key before `master`, which opens and
    /// wraps nothing new.
    #[must_use]
    pub fn new(objects: Objects, master: MasterKey, previous: Option<MasterKey>) -> Self {
        Self { objects, masters: [master].into_iter().chain(previous).collect() }
    }

    /// What may be put as the object `name` of this tenant; only [`Keys::open`] reads it.
    ///
    /// # Errors
    /// [`KeyError`], or what the store answers.
    pub async fn seal(&self, tenant: &TenantId, name: &str, content: Vec<u8>) -> Result<Bytes> {
        let (number, key) = self.current(tenant).await?;
        let head = head(number);
        let sealed = key.seal(&context(&head, name), content);
        let sealed = sealed.map_err(|Unspecified| KeyError::Refused)?;
        Ok([head.as_slice(), &sealed].concat().into())
    }

    /// The content of the object `name` of this tenant.
    ///
    /// # Errors
    /// [`KeyError`], or what the store answers.
    pub async fn open(&self, tenant: &TenantId, name: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let altered = || KeyError::Altered(name.to_owned());
        let (head, sealed) = sealed.split_first_chunk::<HEAD>().ok_or_else(altered)?;
        let (magic, number) = head.split_last_chunk().ok_or_else(altered)?;
        if magic != MAGIC {
            return Err(altered().into());
        }
        let key = self.numbered(tenant, u32::from_be_bytes(*number)).await?;
        let opened = key.open(&context(head, name), sealed);
        opened.map_err(|Unspecified| altered().into())
    }

    /// Wraps with the master key in use whatever is wrapped with the one before; answers how many data
    /// keys that were. Safe to repeat, and to do while objects are read and written.
    ///
    /// # Errors
    /// [`KeyError`], or what the store answers; the next call goes on.
    pub async fn rewrap(&self) -> Result<usize> {
        let mut rewrapped = 0;
        for name in self.objects.list(FOLDER).await? {
            let Some(kept) = self.objects.get(&name).await? else { continue };
            let kept: Wrapped = read(&name, &kept)?;
            if self.masters.first().is_some_and(|master| master.name() != kept.master) {
                let key = self.unwrap(&name, &kept)?;
                self.objects.put(&name, self.wrap(&name, &key)?).await?;
                rewrapped += 1;
            }
        }
        Ok(rewrapped)
    }

    /// The tenant's latest data key; its first one is made.
    async fn current(&self, tenant: &TenantId) -> Result<(u32, Cipher)> {
        let names = self.objects.list(&folder(tenant)).await?;
        let number = names.last().and_then(|name| name.rsplit('/').next()?.parse().ok());
        let number = match number {
            Some(number) => number,
            None => {
                let mut key = Zeroizing::new([0; 32]);
                aws_lc_rs::rand::fill(key.as_mut()).map_err(|Unspecified| KeyError::Refused)?;
                let name = data_key(tenant, 1);
                // Where another was quicker, there is its key now.
                self.objects.create(&name, self.wrap(&name, &key)?).await?;
                1
            }
        };
        Ok((number, self.numbered(tenant, number).await?))
    }

    async fn numbered(&self, tenant: &TenantId, number: u32) -> Result<Cipher> {
        let name = data_key(tenant, number);
        let kept = self.objects.get(&name).await?;
        let kept = kept.ok_or_else(|| KeyError::NoDataKey(name.clone()))?;
        let key = self.unwrap(&name, &read(&name, &kept)?)?;
        Ok(Cipher::new(&key).map_err(|Unspecified| KeyError::Refused)?)
    }

    fn wrap(&self, name: &str, key: &[u8; 32]) -> Result<Bytes> {
        let master = self.masters.first().ok_or(KeyError::Refused)?;
        let wrapped = master.cipher().seal(name.as_bytes(), key.to_vec());
        let wrapped = hex::encode(wrapped.map_err(|Unspecified| KeyError::Refused)?);
        let kept = Wrapped { master: master.name().to_owned(), wrapped };
        serde_json::to_vec(&kept).map(Bytes::from).map_err(Error::internal)
    }

    fn unwrap(&self, name: &str, kept: &Wrapped) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let master = self.masters.iter().find(|master| master.name() == kept.master);
        let Some(master) = master else {
            let (data_key, master) = (name.to_owned(), kept.master.clone());
            return Err(KeyError::NoMasterKey { data_key, master });
        };
        let altered = || KeyError::Altered(name.to_owned());
        let wrapped = hex::decode(&kept.wrapped).map_err(|_| altered())?;
        let key = master.cipher().open(name.as_bytes(), &wrapped);
        let key = Zeroizing::new(key.map_err(|Unspecified| altered())?);
        key.as_slice().try_into().map(Zeroizing::new).map_err(|_| altered())
    }
}

fn read(name: &str, kept: &[u8]) -> Result<Wrapped, KeyError> {
    serde_json::from_slice(kept).map_err(|_| KeyError::Altered(name.to_owned()))
}

fn folder(tenant: &TenantId) -> String {
    format!("{FOLDER}/tenant-{tenant}")
}

/// Names in the order of their numbers.
fn data_key(tenant: &TenantId, number: u32) -> String {
    format!("{}/{number:010}", folder(tenant))
}

fn head(number: u32) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let (magic, rest) = head.split_at_mut(MAGIC.len());
    magic.copy_from_slice(MAGIC);
    rest.copy_from_slice(&number.to_be_bytes());
    head
}

/// What a sealed object is bound to: its head, and its name, which has its tenant in it.
fn context(head: &[u8; HEAD], name: &str) -> Vec<u8> {
    [head.as_slice(), name.as_bytes()].concat()
}
