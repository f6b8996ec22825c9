//! An archive as it is sent: whole on disk, or on its way there.

use std::fs::File;
use std::io;
use std::sync::Arc;

use tokio::sync::watch;

/// How far a file is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// Nothing came yet.
    Nothing,
    /// So many bytes may be sent; whether all of them are right is not known before the last.
    To(u64),
    /// Checked, and under its name.
    Whole,
    /// It will not be. The reason was logged.
    Failed,
}

/// Bytes that were checked, or of which enough is held back that nobody can take them for an archive before they are.
#[derive(Debug)]
pub(crate) struct Archive {
    file: Arc<File>,
    filling: Option<watch::Receiver<Filled>>,
}

impl Archive {
    pub(super) const fn whole(file: Arc<File>) -> Self {
        Self { file, filling: None }
    }

    pub(super) const fn growing(file: Arc<File>, filling: watch::Receiver<Filled>) -> Self {
        Self { file, filling: Some(filling) }
    }

    /// Its file. No byte must be read from it that [`Self::until`] did not give.
    pub(crate) const fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Waits until the byte at `at` may be sent; gives the end of what may be sent now, `end` at most.
    pub(crate) async fn until(&mut self, at: u64, end: u64) -> io::Result<u64> {
        let Some(filling) = &mut self.filling else { return Ok(end) };
        loop {
            match *filling.borrow_and_update() {
                Filled::Whole => break,
                Filled::To(to) if to > at => return Ok(to.min(end)),
                Filled::Failed => return Err(io::Error::other("the archive could not be fetched to its end")),
                Filled::To(_) | Filled::Nothing => {}
            }
            filling.changed().await.map_err(io::Error::other)?;
        }
        self.filling = None;
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_further_than_it_is_filled() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let (sender, receiver) = watch::channel(Filled::To(10));
        let mut archive = Archive::growing(Arc::clone(&file), receiver.clone());
        assert_eq!(archive.until(0, 100).await.unwrap(), 10);
        assert_eq!(archive.until(9, 10).await.unwrap(), 10);
        let waiting = tokio::spawn(async move { (archive.until(10, 100).await.unwrap(), archive) });
        sender.send_replace(Filled::To(30));
        let (to, mut archive) = waiting.await.unwrap();
        assert_eq!(to, 30);
        sender.send_replace(Filled::Whole);
        assert_eq!(archive.until(30, 100).await.unwrap(), 100);
        let mut failing = Archive::growing(Arc::clone(&file), receiver.clone());
        sender.send_replace(Filled::Failed);
        assert!(failing.until(0, 100).await.is_err());
        let (gone, receiver) = watch::channel(Filled::To(10));
        drop(gone);
        assert!(Archive::growing(file, receiver).until(10, 100).await.is_err());
    }
}
