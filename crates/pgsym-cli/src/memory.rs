//! What the C library does with memory that was freed. A run reads one file after the other, and glibc gives what one of
//! them took back to the system, to ask for it page by page for the next one.

/// Keeps freed memory for the next file: a third of the page faults of an audit go, more than half of those of `symbols`
/// over thousands of files, and the peak stays (`mallopt`, malloc/malloc.c). Elsewhere nothing is done.
pub(crate) fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// Bytes from which an allocation is a mapping of its own; the greatest that glibc takes on 64 bits
        /// (HEAP_MAX_SIZE / 2).
        const MAPPED_FROM: libc::c_int = 32 << 20;
        /// Bytes free at the end of the heap from which they are given back.
        const KEPT: libc::c_int = 256 << 20;
        #[expect(unsafe_code, reason = "two settings of the C library, made before there is a second thread")]
        // SAFETY: mallopt has no preconditions; a value that it does not like it ignores.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        }
    }
}
