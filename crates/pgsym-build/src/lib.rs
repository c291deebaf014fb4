//! From `build.rs` of a PostgreSQL extension with C parts: compiles the C, finds what must be exported, and
//! writes the link arguments that really export it.
