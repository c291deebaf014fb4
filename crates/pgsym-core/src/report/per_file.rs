//! Answers about many files that are made while they are written. The symbols of a whole distribution are a million lines:
//! nobody has to hold them all, since a document is written front to back.

use std::fmt;

use serde::{Serialize, Serializer};

/// A list that is made anew each time it is gone through.
pub struct PerFile<'a, T> {
    make: Box<dyn Fn() -> Box<dyn Iterator<Item = T> + 'a> + 'a>,
}

impl<'a, T: 'a> PerFile<'a, T> {
    /// The list that `make` makes.
    pub fn new<I: Iterator<Item = T> + 'a>(make: impl Fn() -> I + 'a) -> Self {
        Self { make: Box::new(move || Box::new(make())) }
    }

    /// Makes it.
    pub fn iter(&self) -> impl Iterator<Item = T> + 'a {
        (self.make)()
    }
}

impl<'a, T: Serialize + 'a> Serialize for PerFile<'a, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<T> fmt::Debug for PerFile<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PerFile")
    }
}
