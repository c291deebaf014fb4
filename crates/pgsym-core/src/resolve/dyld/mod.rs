//! dyld: which file satisfies each library of a Mach-O image, and which image each symbol is bound to. A process of
//! its own kind, because nothing of ELF's rules holds: names are paths, search paths are a stack, and most symbols say
//! which library must define them. Everything here follows Apple's sources of dyld 4 (dyld-1378: Loader.cpp,
//! JustInTimeLoader.cpp, DyldProcessConfig.cpp, DyldAPIs.cpp).

mod bind;
mod environment;
mod image;
mod process;
#[cfg(test)]
mod reference;
mod sdk;
mod search;
#[cfg(test)]
mod tests;
mod trace;

pub use bind::{DyldBinding, Provider};
pub(crate) use environment::SDK_WITHOUT_DUPLICATES;
pub use environment::{DyldEnv, SystemLibraries, might_be_in_shared_cache};
pub use image::{Image, ImageId, ImageSource, slice_for};
pub use process::{DyldAttempt, DyldProcess};
pub use sdk::Sdk;
pub use trace::{DyldEdge, DyldOutcome, DyldProbe, DyldVia};
