//! Files mapped into memory: the only `unsafe` outside of `simd/`.
#![allow(unsafe_code, reason = "a map is as safe as the file behind it; it is made here and nowhere else")]

use std::fs::File;

/// Maps a whole file for reading.
pub(super) fn map(file: &File) -> std::io::Result<memmap2::Mmap> {
    // SAFETY: the map is read as bytes and never written, so any content is valid. What Rust cannot see is somebody who
    // writes to the file meanwhile: `Checkpoint::check_unchanged` reports that, and where the file was cut off and a
    // page is gone, the system ends the process by SIGBUS before any wrong value is read.
    unsafe { memmap2::Mmap::map(file) }
}

/// Makes the process end with `code` and a message on standard error where a mapped file was cut off, or its disk
/// failed, while it was in use. Without this the system ends it without a word.
///
/// This installs a handler of SIGBUS for the whole process, so it is for programs, not for libraries. Only Unix has that
/// signal; elsewhere this does nothing.
pub fn exit_on_lost_pages(code: i32) {
    #[cfg(unix)]
    lost_pages::install(code);
    #[cfg(not(unix))]
    let _ = code;
}

#[cfg(unix)]
mod lost_pages {
    use std::sync::atomic::{AtomicI32, Ordering};

    static CODE: AtomicI32 = AtomicI32::new(0);
    const MESSAGE: &[u8] =
        b"error: a page of a mapped file cannot be read: the file was cut off while in use, or its disk failed\n";

    pub(super) fn install(code: i32) {
        CODE.store(code, Ordering::Relaxed);
        // SAFETY: all fields of `sigaction` are numbers, pointers that may be null, or an optional function, so zeros
        // are a valid value; the handler has the signature that it needs without SA_SIGINFO, and calls nothing but
        // functions that POSIX lists as safe in handlers.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = exit as extern "C" fn(libc::c_int) as usize;
            // The stack of the thread may be what is lost.
            action.sa_flags = libc::SA_ONSTACK;
            libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
        }
    }

    extern "C" fn exit(_signal: libc::c_int) {
        // SAFETY: the pointer and the length are those of a constant; neither call touches any other memory.
        unsafe {
            libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len());
            libc::_exit(CODE.load(Ordering::Relaxed));
        }
    }
}
