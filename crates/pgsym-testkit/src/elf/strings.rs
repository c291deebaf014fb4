//! A string table: each string once, NUL-terminated, the empty string at offset 0.

use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct StringTable {
    bytes: Vec<u8>,
    offsets: BTreeMap<Vec<u8>, u32>,
}

impl StringTable {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0], offsets: BTreeMap::from([(Vec::new(), 0)]) }
    }

    /// Offset of `text`, which is added when it is new.
    pub(crate) fn add(&mut self, text: &[u8]) -> u32 {
        if let Some(&offset) = self.offsets.get(text) {
            return offset;
        }
        let offset = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        self.offsets.insert(text.to_vec(), offset);
        offset
    }

    /// Offset of a string that was added before.
    pub(crate) fn offset(&self, text: &[u8]) -> u32 {
        *self.offsets.get(text).expect("every string is added while the plan is made")
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
