//! Little-endian output with the variable-length numbers of dyld's tables.

/// Bytes to append to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Out(pub(crate) Vec<u8>);

impl Out {
    pub(crate) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn half(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn word(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn long(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    /// A string and its NUL.
    pub(crate) fn string(&mut self, text: &str) {
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// A name in a field of fixed width.
    pub(crate) fn name(&mut self, text: &str, width: usize) {
        let start = self.0.len();
        self.0.extend(text.as_bytes());
        self.0.resize(start + width, 0);
    }

    /// An unsigned LEB128 number.
    pub(crate) fn uleb(&mut self, mut value: u64) {
        loop {
            let bits = (value & 0x7f) as u8;
            value >>= 7;
            self.0.push(if value == 0 { bits } else { bits | 0x80 });
            if value == 0 {
                return;
            }
        }
    }

    /// Zeros up to a multiple of `align`.
    pub(crate) fn pad(&mut self, align: usize) {
        self.0.resize(self.0.len().next_multiple_of(align), 0);
    }
}
