//! Objects: what is kept outside of the database, under names like paths.
//!
//! | names | what |
//! |---|---|
//! | `audit/tenant-<code>/…` | archives of the audit trail ([`crate::audit`]) |
//! | `evidence/tenant-<code>/…` | checkpoints of the evidence ledger |
//! | `keys/tenant-<code>/…` | data keys, each wrapped by the master key ([`crate::keys`]) |
//! | `schemas/tenant-<code>/…` | what schemas say |
//!
//! A folder on this machine, or a bucket that speaks S3 (feature `s3`). What was put is durable when
//! [`Objects::put`] or [`Objects::create`] returns: in a folder the file, the name and the folders that
//! were made for it are synced; S3 answers once it is.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, local::LocalFileSystem, path::Path,
};
use tokio::time::timeout;
use url::Url;

use crate::error::{Error, Result};

/// How long one request may take, its retries included.
const DEADLINE: Duration = Duration::from_secs(60);

/// Where objects are; cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
}

/// Why there is no place for objects.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The folder cannot be made or used.
    #[error("objects cannot be kept in {path}: {source}")]
    Folder {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The address names no place that this program knows.
    #[error("objects.url {0}")]
    Unknown(&'static str),
    /// What is needed to reach the bucket is not there.
    #[error("the bucket of objects.url cannot be used: {0}")]
    Bucket(#[from] StoreError),
}

/// What became of an object that was to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is there now.
    New,
    /// There was one of this name; it is as it was.
    WasThere,
}

impl Objects {
    /// The place that `url` names: `file:///folder`, which is made if need be, or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// [`ObjectsError`]. A bucket is not asked before it is used.
    pub fn open(url: &str) -> Result<Self, ObjectsError> {
        let url = Url::parse(url).map_err(|_| ObjectsError::Unknown("is no address"))?;
        match url.scheme() {
            "file" => Self::folder(url.to_file_path().unwrap_or_default()),
            "s3" => bucket(&url),
            _ => Err(ObjectsError::Unknown("is neither file:// nor s3://")),
        }
    }

    fn folder(path: PathBuf) -> Result<Self, ObjectsError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        let store = made.map_err(Into::into).and_then(|()| {
            LocalFileSystem::new_with_prefix(&path)
                .map_err(Box::<dyn std::error::Error + Send + Sync>::from)
        });
        match store {
            Ok(store) => Ok(Self { store: Arc::new(store.with_fsync(true)) }),
            Err(source) => Err(ObjectsError::Folder { path, source }),
        }
    }

    /// Puts an object where there is none of this name.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn create(&self, name: &str, content: Bytes) -> Result<Created> {
        let name = path(name)?;
        let put = self.store.put_opts(&name, content.into(), PutMode::Create.into());
        match within(put).await? {
            Ok(_) => Ok(Created::New),
            Err(StoreError::AlreadyExists { .. }) => Ok(Created::WasThere),
            Err(error) => Err(told(error)),
        }
    }

    /// Puts an object in the place of the one of this name, if there is one.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn put(&self, name: &str, content: Bytes) -> Result<()> {
        let name = path(name)?;
        within(self.store.put(&name, content.into())).await?.map(|_| ()).map_err(told)
    }

    /// The object of this name; none if there is none.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        let name = path(name)?;
        let content = within(async { self.store.get(&name).await?.bytes().await });
        match content.await? {
            Ok(content) => Ok(Some(content)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(told(error)),
        }
    }

    /// The names of the objects below a name, in order.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn list(&self, below: &str) -> Result<Vec<String>> {
        let below = path(below)?;
        let found = self.store.list(Some(&below)).map_ok(|object| object.location.to_string());
        let mut names: Vec<_> = within(found.try_collect()).await?.map_err(told)?;
        names.sort_unstable();
        Ok(names)
    }

    /// Removes an object, if it is there.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let name = path(name)?;
        match within(self.store.delete(&name)).await? {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(told(error)),
        }
    }
}

#[cfg(feature = "s3")]
fn bucket(url: &Url) -> Result<Objects, ObjectsError> {
    use object_store::{aws::AmazonS3Builder, prefix::PrefixStore};

    let store = AmazonS3Builder::from_env().with_url(url.as_str()).build()?;
    let prefix = Path::from_url_path(url.path()).map_err(StoreError::from)?;
    Ok(Objects { store: Arc::new(PrefixStore::new(store, prefix)) })
}

#[cfg(not(feature = "s3"))]
fn bucket(_: &Url) -> Result<Objects, ObjectsError> {
    Err(ObjectsError::Unknown("is s3://, and this program was built without the feature `s3`"))
}

/// Names are the program's own; one that the store would read in another way is a fault.
fn path(name: &str) -> Result<Path> {
    Path::parse(name).map_err(Error::internal)
}

async fn within<T>(request: impl Future<Output = T>) -> Result<T> {
    timeout(DEADLINE, request).await.map_err(Error::unavailable)
}

/// Most of what a store answers passes by: it is away, full or busy.
fn told(error: StoreError) -> Error {
    match error {
        StoreError::InvalidPath { .. }
        | StoreError::NotImplemented { .. }
        | StoreError::NotSupported { .. } => Error::internal(error),
        error => Error::unavailable(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::error::ErrorCode;

    fn folder() -> (tempfile::TempDir, Objects) {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::from_file_path(folder.path().join("objects")).unwrap();
        let objects = Objects::open(url.as_str()).unwrap();
        (folder, objects)
    }

    #[tokio::test]
    async fn an_object_is_made_once_and_kept_as_it_is() {
        let (_folder, objects) = folder();
        let name = "audit/tenant-acme/api/2025-01.enc";
        assert_eq!(objects.get(name).await.unwrap(), None);
        let (one, other) = (Bytes::from_static(b"one"), Bytes::from_static(b"other"));
        assert_eq!(objects.create(name, one.clone()).await.unwrap(), Created::New);
        assert_eq!(objects.create(name, other.clone()).await.unwrap(), Created::WasThere);
        assert_eq!(objects.get(name).await.unwrap().unwrap(), one);
        objects.put(name, other.clone()).await.unwrap();
        assert_eq!(objects.get(name).await.unwrap().unwrap(), other);
        objects.delete(name).await.unwrap();
        objects.delete(name).await.unwrap();
        assert_eq!(objects.get(name).await.unwrap(), None);
    }

    #[tokio::test]
    async fn of_many_who_make_one_only_the_first_does() {
        let (_folder, objects) = folder();
        let all = (0..16_u8).map(|who| {
            let objects = objects.clone();
            async move { objects.create("keys/tenant-acme/1", Bytes::from(vec![who; 999])).await }
        });
        let made = futures::future::try_join_all(all).await.unwrap();
        assert_eq!(made.iter().filter(|made| **made == Created::New).count(), 1);
        let kept = objects.get("keys/tenant-acme/1").await.unwrap().unwrap();
        assert!(kept.len() == 999 && kept.iter().all(|byte| *byte == kept[0]));
    }

    #[tokio::test]
    async fn names_below_another_come_in_order_and_no_neighbours() {
        let (_folder, objects) = folder();
        for name in ["a/tenant-b/2", "a/tenant-b/1", "a/tenant-b-c/1", "b/tenant-b/1"] {
            objects.put(name, Bytes::new()).await.unwrap();
        }
        assert_eq!(objects.list("a/tenant-b").await.unwrap(), ["a/tenant-b/1", "a/tenant-b/2"]);
        assert!(objects.list("nothing").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn no_name_leads_out_of_the_folder() {
        let (_folder, objects) = folder();
        for name in ["../x", "a/../../x", "a//b", "a/./b"] {
            let error = objects.put(name, Bytes::new()).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::Internal, "{name}");
        }
    }

    #[tokio::test]
    async fn nobody_else_on_the_machine_looks_in() {
        let (folder, _objects) = folder();
        let mode = folder.path().join("objects").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_unavailable() {
        let (folder, objects) = folder();
        std::fs::write(folder.path().join("objects/a"), "").unwrap();
        let error = objects.put("a/b", Bytes::new()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unavailable);
    }

    #[cfg(not(feature = "s3"))]
    #[test]
    fn a_bucket_needs_the_feature() {
        let error = Objects::open("s3://bucket/prefix").unwrap_err();
        assert!(error.to_string().contains("feature `s3`"), "{error}");
    }
}
