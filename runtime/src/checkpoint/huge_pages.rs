//! Weights in memory of their own, in huge pages where the system has such.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use memmap2::MmapMut;
use rayon::prelude::*;

use super::Checkpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::weights::Bytes;

/// Bytes that a thread copies between two reports.
const PART: usize = 16 << 20;

impl Checkpoint {
    /// Copies all files into memory, in huge pages where the system has such, instead of using them where they are
    /// mapped: the weights are then read with fewer look-ups of addresses, for the price of that memory and of the time
    /// that copying takes. No bit of any result changes.
    ///
    /// `progress` is told how many bytes of how many are done, by any thread; the copy ends where it returns false.
    /// Threads are those of the rayon pool that this is called in.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Io`] if there is no such memory, or a file changed meanwhile;
    /// - [`ErrorKind::Interrupted`] if `progress` returned false.
    pub fn copy_to_huge_pages(mut self, progress: impl Fn(u64, u64) -> bool + Sync) -> Result<Self> {
        let total = self.files.iter().map(|file| file.size).sum();
        let (done, goes_on) = (AtomicU64::new(0), AtomicBool::new(progress(0, total)));
        for file in &mut self.files {
            let from: &[u8] = &file.bytes;
            let no_memory = |error| {
                let rule = format!("no memory for a copy of its {} bytes", from.len());
                Error::new(ErrorKind::Io, rule).in_file(&file.path).caused_by(error)
            };
            let mut memory = MmapMut::map_anon(from.len()).map_err(no_memory)?;
            // Where there are no huge pages, small ones do.
            #[cfg(target_os = "linux")]
            let _ = memory.advise(memmap2::Advice::HugePage);
            memory.par_chunks_mut(PART).zip(from.par_chunks(PART)).for_each(|(to, from)| {
                if goes_on.load(Ordering::Relaxed) {
                    to.copy_from_slice(from);
                    let now = done.fetch_add(to.len() as u64, Ordering::Relaxed) + to.len() as u64;
                    if !progress(now, total) {
                        goes_on.store(false, Ordering::Relaxed);
                    }
                }
            });
            if !goes_on.load(Ordering::Relaxed) {
                return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
            }
            let len = memory.len();
            let memory = memory.make_read_only().map_err(no_memory)?;
            file.bytes = Bytes::new(Arc::new(memory), 0..len);
        }
        self.check_unchanged()?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn copies_are_the_files_and_can_be_interrupted() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden/a64");
        let mapped = Checkpoint::open(&folder).unwrap();
        let most = AtomicU64::new(0);
        let copied = mapped.clone().copy_to_huge_pages(|done, total| {
            assert!(done <= total);
            most.fetch_max(done, Ordering::Relaxed);
            true
        });
        let copied = copied.unwrap();
        assert_eq!(most.into_inner(), mapped.files().iter().map(|file| file.size).sum::<u64>());
        assert!(!mapped.parts().is_empty());
        for part in mapped.parts() {
            let (mapped, copied) = (mapped.bytes(part), copied.bytes(part));
            assert_eq!(*mapped, *copied);
            assert_ne!(mapped.as_ptr(), copied.as_ptr());
        }
        let error = mapped.copy_to_huge_pages(|done, _| done == 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted);
    }
}
