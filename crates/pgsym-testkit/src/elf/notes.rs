//! Notes: the header `namesz, descsz, type`, the owner and the descriptor, each padded. GNU property notes are padded to
//! the word size, all others to 4, which is why the two kinds lie in different PT_NOTE headers.

use super::encoding::{Encoding, align_up};
use super::machine::Machine;

/// Bits of `GNU_PROPERTY_X86_FEATURE_1_AND`; on aarch64 the same word means BTI (1) and PAC (2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cet {
    /// Indirect branch tracking (aarch64: BTI).
    Ibt = 1,
    /// Shadow stack (aarch64: PAC).
    Shstk = 2,
    /// Both.
    Both = 3,
}

/// One note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// `NT_GNU_BUILD_ID`
    BuildId(Vec<u8>),
    /// `NT_GNU_ABI_TAG`: Linux, and the oldest kernel (version, patch level, sublevel).
    AbiTag([u32; 3]),
    /// A GNU property note with `X86_ISA_1_NEEDED` (bit 0 baseline, 1 v2, 2 v3, 3 v4).
    IsaNeeded(u32),
    /// … with `X86_ISA_1_USED`.
    IsaUsed(u32),
    /// … with the control-flow protection bits.
    Cet(Cet),
    /// `.note.dlopen` (owner `FDO`, type 0x407c0c0a): JSON text of libraries opened at run time.
    Dlopen(String),
    /// Any other: section name, owner, type, descriptor.
    Other {
        /// Name of the section, such as `.note.stapsdt`.
        section: &'static str,
        /// The owner without its NUL.
        owner: Vec<u8>,
        /// `n_type`
        kind: u32,
        /// The descriptor.
        descriptor: Vec<u8>,
    },
}

/// A note as a section.
pub(crate) struct NoteSection {
    pub(crate) name: &'static str,
    pub(crate) align: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Name of the section that holds all GNU properties.
pub(crate) const GNU_PROPERTY: &str = ".note.gnu.property";

/// The notes' sections, the property note first as linkers place it. Notes of one section name are joined.
pub(crate) fn sections(notes: &[Note], machine: Machine, encoding: Encoding) -> Vec<NoteSection> {
    let mut result = Vec::new();
    let properties = properties(notes, machine, encoding);
    if !properties.is_empty() {
        let align = encoding.word_size();
        let bytes = note(encoding, align, b"GNU", 5, &properties);
        result.push(NoteSection { name: GNU_PROPERTY, align, bytes });
    }
    let mut add = |name: &'static str, bytes: Vec<u8>| match result
        .iter_mut()
        .find(|section: &&mut NoteSection| section.name == name)
    {
        Some(section) => section.bytes.extend_from_slice(&bytes),
        None => result.push(NoteSection { name, align: 4, bytes }),
    };
    for entry in notes {
        match entry {
            Note::BuildId(id) => add(".note.gnu.build-id", note(encoding, 4, b"GNU", 3, id)),
            Note::AbiTag(kernel) => {
                let mut descriptor = encoding.sink();
                descriptor.u32(0).u32(kernel[0]).u32(kernel[1]).u32(kernel[2]);
                add(".note.ABI-tag", note(encoding, 4, b"GNU", 1, &descriptor.bytes));
            }
            Note::Dlopen(json) => {
                let mut descriptor = json.as_bytes().to_vec();
                descriptor.push(0);
                add(".note.dlopen", note(encoding, 4, b"FDO", 0x407c_0c0a, &descriptor));
            }
            Note::Other { section, owner, kind, descriptor } => {
                add(section, note(encoding, 4, owner, *kind, descriptor));
            }
            Note::IsaNeeded(_) | Note::IsaUsed(_) | Note::Cet(_) => {}
        }
    }
    result
}

/// The property array: `pr_type, pr_datasz, data` in ascending order of type, each padded to a word.
fn properties(notes: &[Note], machine: Machine, encoding: Encoding) -> Vec<u8> {
    let mut values: Vec<(u32, u32)> = notes
        .iter()
        .filter_map(|entry| match *entry {
            Note::Cet(cet) => {
                let kind = if machine == Machine::Aarch64 { 0xc000_0000 } else { 0xc000_0002 };
                Some((kind, cet as u32))
            }
            Note::IsaNeeded(bits) => Some((0xc000_8002, bits)),
            Note::IsaUsed(bits) => Some((0xc001_0002, bits)),
            _ => None,
        })
        .collect();
    values.sort_unstable();
    let mut sink = encoding.sink();
    for (kind, value) in values {
        sink.u32(kind).u32(4).u32(value).align(encoding.word_size());
    }
    sink.bytes
}

fn note(encoding: Encoding, align: u64, owner: &[u8], kind: u32, descriptor: &[u8]) -> Vec<u8> {
    let mut sink = encoding.sink();
    sink.u32(owner.len() as u32 + 1).u32(descriptor.len() as u32).u32(kind);
    // The owner is padded to 4 also in property notes, whose header and "GNU\0" fill 16 bytes.
    sink.raw(owner).u8(0).align(4).raw(descriptor);
    sink.bytes.resize(align_up(sink.len(), align) as usize, 0);
    sink.bytes
}
