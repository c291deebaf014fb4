//! Holds the benchmark targets beside this file; there is no code to share yet.
