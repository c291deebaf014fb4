//! What the C library does with memory. glibc asks for it page by page and gives back what one file took, to ask for it
//! again for the next one.

/// Sets the C library up, before there is a second thread; elsewhere than under glibc on 64 bits nothing is done.
pub(crate) fn prepare() {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
    {
        glibc::keep_freed();
        glibc::use_huge_pages();
    }
}

/// The same for the heap of a thread that has just begun.
pub(crate) fn prepare_thread() {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
    glibc::use_huge_pages();
}

#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod glibc {
    /// Bytes that a heap is made or extended by; the most that glibc gives the heap of a thread (HEAP_MAX_SIZE). They are
    /// addresses: memory is taken where it is written to.
    const HEAP: libc::c_int = 64 << 20;

    /// Keeps freed memory for the next file: a third of the page faults of an audit go, more than half of those of
    /// `symbols` over thousands of files, and the peak stays (`mallopt`, malloc/malloc.c).
    pub(super) fn keep_freed() {
        /// Bytes from which an allocation is a mapping of its own; the greatest that glibc takes (HEAP_MAX_SIZE / 2).
        const MAPPED_FROM: libc::c_int = 32 << 20;
        /// Bytes free at the end of the heap from which they are given back.
        const KEPT: libc::c_int = 256 << 20;
        #[expect(unsafe_code, reason = "settings of the C library, made before there is a second thread")]
        // SAFETY: mallopt has no preconditions; a value that it does not like it ignores.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
            libc::mallopt(libc::M_TOP_PAD, HEAP);
        }
    }

    /// Asks the kernel for pages of two megabytes in the heap of this thread, as glibc's tunable `glibc.malloc.hugetlb`
    /// would, which only the environment can set and which reaches the heap of the first thread alone. Of the page faults
    /// of an audit one in ten is left, and an eighth of its time goes.
    pub(super) fn use_huge_pages() {
        /// More than is free in a heap that was made before [`keep_freed`], so that it is extended.
        const MORE_THAN_FREE: usize = 256 << 10;
        /// Bytes of the greatest ordinary page that Linux has: the advice is for whole pages.
        const GREATEST_PAGE: usize = 64 << 10;
        let end_of_heap: Vec<u8> = Vec::with_capacity(MORE_THAN_FREE);
        let start = end_of_heap.as_ptr().map_addr(|at| at & !(GREATEST_PAGE - 1));
        #[expect(unsafe_code, reason = "a hint to the kernel")]
        // SAFETY: the advice changes no byte of any page, whosever it is, and what it cannot be given for is left as it
        // was: where the kernel has no such pages, or the heap ends earlier, it says so and nothing comes of it.
        unsafe {
            libc::madvise(start.cast_mut().cast(), HEAP.unsigned_abs() as usize, libc::MADV_HUGEPAGE);
        }
    }
}
