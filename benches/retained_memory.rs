//! What a parsed tree keeps: bytes per dynamic symbol of all its modules together, and the peak while reading, beside
//! the target of 64 MB per million symbols. Of a Debian `/usr/lib` 51 bytes of each are its name in `.dynstr`, 12 its record, 6 the
//! hash table, and 10 what a module has beside its symbols.
#![expect(unsafe_code, reason = "an allocator is an unsafe trait; the calls are passed on as they come")]
#![expect(clippy::cast_precision_loss, reason = "averages are shown with one digit")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "support/tree.rs"]
#[expect(dead_code, reason = "nothing is mapped here")]
mod tree;

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pgsym_core::fs::{Fs as _, RealFs};
use pgsym_core::model::{Module, SymbolTable};
use pgsym_core::parse::{Facets, parse};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged, whose contract is the trait's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(held, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// The target, in bytes per symbol.
const TARGET: f64 = 64.0;

fn main() -> ExitCode {
    let files = tree::elf_files();
    let before = HELD.load(Relaxed);
    let modules: Vec<Module> = files
        .iter()
        .filter_map(|path| {
            let (source, metadata) = RealFs::new().open(path).ok()?;
            parse(path, metadata, &*source, Facets::SYMBOLS).ok()
        })
        .collect();
    let held = HELD.load(Relaxed) - before;
    let peak = PEAK.load(Relaxed) - before;
    let symbols: usize = modules.iter().filter_map(|module| module.symbols.get()).map(SymbolTable::len).sum();
    if symbols == 0 {
        println!("there are no dynamic symbols below the tree");
        return ExitCode::FAILURE;
    }
    let per_symbol = held as f64 / symbols as f64;
    println!(
        "{} modules, {symbols} dynamic symbols: {held} bytes kept, {per_symbol:.1} each (target {TARGET}); peak {:.1} each",
        modules.len(),
        peak as f64 / symbols as f64
    );
    ExitCode::SUCCESS
}
