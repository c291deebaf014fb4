//! What two servers read differently in one script: a setting, and the grammar of each major version.

/// The server's setting of the same name, which decides what a backslash in `'…'` is.
///
/// The server parses a whole script before it runs any of it, so a SET in a script acts on the next script at
/// the earliest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StandardConformingStrings {
    /// A backslash is a backslash.
    #[default]
    On,
    /// `'…'` is read as `E'…'`.
    Off,
}

/// What decides how a script is read: a setting, and the server's major version where it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dialect {
    /// What `'…'` is.
    pub strings: StandardConformingStrings,
    /// The major version. Without one, only what no server takes is an error.
    pub major: Option<u32>,
}

impl From<StandardConformingStrings> for Dialect {
    fn from(strings: StandardConformingStrings) -> Self {
        Self { strings, major: None }
    }
}

impl Dialect {
    /// Whether the server is known to be older than this major version.
    pub(super) fn is_before(self, major: u32) -> bool {
        self.major.is_some_and(|own| own < major)
    }

    /// Whether the server is known to be of this major version or newer.
    pub(super) fn is_since(self, major: u32) -> bool {
        self.major.is_some_and(|own| own >= major)
    }
}
