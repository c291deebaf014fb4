//! A text search parser for Thai, which is written without spaces between words.
//!
//! [`segment`] cuts a text into tokens and knows nothing of PostgreSQL; [`ffi`] hands it to `shim.c`, which is what the
//! server calls.

pub mod ffi;
pub mod segment;
