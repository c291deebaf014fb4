//! Which file satisfies each dependency, exactly as the loader would choose it, and why. A [`Process`] is started
//! with the server and grows by `dlopen`; every edge keeps its whole search trace.

mod bind;
mod cache;
pub mod dyld;
mod elements;
mod environment;
mod glibc;
pub(crate) mod glibc_release;
mod isa;
mod musl;
mod packed;
mod process;
mod relocation;
mod scope;
mod search_list;
mod settled;
mod static_tls;
mod store;
mod token;
mod trace;
mod verify;
mod versions;

pub use bind::{Binding, Definition, PassedOver, Reference, accepts, dlsym};
pub(crate) use bind::{Wanted, references};
pub use cache::{LD_SO_CACHE, LdSoCache};
pub use elements::{Meaning, SearchDirectory, SearchElement};
pub use environment::{CpuLevel, Described, LegacyNames, Libc, LoaderEnv, LoaderOptions, usual_interpreter};
pub use process::{Attempt, MainObject, Object, ObjectId, Process};
pub use store::FileStore;
pub use trace::{Edge, LoadError, LoadErrorKind, Outcome, Probe, Refusal, Via};
pub use versions::{VersionCheck, VersionMatch, checks_of};

pub(crate) use elements::elements_of;
pub(crate) use glibc::read_only_dynamic;
pub(crate) use isa::needed_level;
pub(crate) use musl::interpreter as musl_interpreter;
pub(crate) use packed::{PackedTable, passed_over};
pub(crate) use static_tls::{STATIC_TLS_RESERVE, STATIC_TLS_SURPLUS};
pub(crate) use token::has_malformed_token;
pub(crate) use versions::{UNANNOUNCED_RELR, UNLOADED, lacks_abi_dt_relr, unloaded_file};
