//! Notes: build id, ABI tag, GNU properties and `.note.dlopen`, from every PT_NOTE segment.
//!
//! ```text
//! n_namesz:u32 n_descsz:u32 n_type:u32 name[n_namesz] pad desc[n_descsz] pad
//! ```
//!
//! Name and descriptor are padded to 4 bytes; in a segment of alignment 8 (`.note.gnu.property` of 64-bit files)
//! to 8. `.note.dlopen`: <https://systemd.io/ELF_DLOPEN_METADATA/>.

use object::elf;

use super::encoding::Encoding;
use crate::error::FileError;
use crate::limits;
use crate::model::{AbiTag, Elf, GnuProperties, Segment, Table};
use crate::source::{Source, read_range};

/// `n_type` of a `.note.dlopen` note, owner `FDO`.
#[cfg(feature = "audit")]
const FDO_DLOPEN: u32 = 0x407c_0c0a;

/// Reads all notes into their places in `detail`.
pub(crate) fn read(source: &dyn Source, encoding: Encoding, segments: &[Segment], detail: &mut Elf) {
    let mut found = Found::default();
    let result = collect(source, encoding, segments, &mut found);
    // A damaged note ends the walk, so what was not found before it is not known to be absent.
    detail.build_id = settle(found.build_id, &result);
    detail.abi_tag = settle(found.abi_tag, &result);
    detail.properties = settle(found.properties, &result);
    #[cfg(feature = "audit")]
    {
        detail.dlopen_notes = match (&found.dlopen_error, &result) {
            (Some(error), _) | (None, Err(error)) => Table::Unreadable(error.clone()),
            (None, Ok(())) if found.dlopen.is_empty() => Table::Absent,
            (None, Ok(())) => Table::Read(found.dlopen),
        };
    }
}

fn settle<T>(found: Option<T>, result: &Result<(), FileError>) -> Table<T> {
    match (found, result) {
        (Some(value), _) => Table::Read(value),
        (None, Ok(())) => Table::Absent,
        (None, Err(error)) => Table::Unreadable(error.clone()),
    }
}

#[derive(Default)]
struct Found {
    build_id: Option<Vec<u8>>,
    abi_tag: Option<AbiTag>,
    properties: Option<GnuProperties>,
    #[cfg(feature = "audit")]
    dlopen: Vec<crate::model::DlopenNote>,
    #[cfg(feature = "audit")]
    dlopen_error: Option<FileError>,
}

fn collect(
    source: &dyn Source,
    encoding: Encoding,
    segments: &[Segment],
    found: &mut Found,
) -> Result<(), FileError> {
    let (mut bytes_left, mut notes_left) = (limits::NOTE_BYTES, limits::NOTES);
    for segment in segments.iter().filter(|segment| segment.kind == elf::PT_NOTE.0) {
        bytes_left = bytes_left.checked_sub(segment.file_size).ok_or_else(|| {
            FileError::limit(format!("the notes have more than {} bytes", limits::NOTE_BYTES))
                .at(segment.offset)
        })?;
        let bytes = read_range(source, segment.offset, segment.file_size, "PT_NOTE")?;
        let align = if segment.align == 8 { 8 } else { 4 };
        let mut at = 0;
        while at < bytes.len() {
            notes_left = notes_left
                .checked_sub(1)
                .ok_or_else(|| FileError::limit(format!("there are more than {} notes", limits::NOTES)))?;
            let note = Note::parse(encoding, &bytes, at, align).ok_or_else(|| {
                FileError::malformed("a note of PT_NOTE reaches past its segment")
                    .at(segment.offset.saturating_add(at as u64))
            })?;
            at = note.end;
            note.interpret(encoding, found);
        }
    }
    Ok(())
}

struct Note<'a> {
    owner: &'a [u8],
    kind: u32,
    desc: &'a [u8],
    end: usize,
}

impl<'a> Note<'a> {
    fn parse(encoding: Encoding, bytes: &'a [u8], at: usize, align: usize) -> Option<Self> {
        let name_size = encoding.u32(bytes, at)? as usize;
        let desc_size = encoding.u32(bytes, at.checked_add(4)?)? as usize;
        let kind = encoding.u32(bytes, at.checked_add(8)?)?;
        let name = at.checked_add(12)?;
        let name_end = name.checked_add(name_size)?;
        let desc = name_end.checked_next_multiple_of(align)?;
        let desc_end = desc.checked_add(desc_size)?;
        let owner = bytes.get(name..name_end)?;
        Some(Self {
            owner: owner.strip_suffix(&[0]).unwrap_or(owner),
            kind,
            desc: bytes.get(desc..desc_end)?,
            // The last note's padding may be missing.
            end: desc_end.checked_next_multiple_of(align)?.min(bytes.len()),
        })
    }

    /// Takes what is known; the first note of a kind counts.
    fn interpret(&self, encoding: Encoding, found: &mut Found) {
        match (self.owner, elf::NoteType(self.kind)) {
            (b"GNU", elf::NT_GNU_BUILD_ID) => {
                found.build_id.get_or_insert_with(|| self.desc.to_vec());
            }
            (b"GNU", elf::NT_GNU_ABI_TAG) => {
                if let [os, major, minor, patch, ..] = *encoding.u32s(self.desc) {
                    found.abi_tag.get_or_insert(AbiTag { os, kernel: [major, minor, patch] });
                }
            }
            (b"GNU", elf::NT_GNU_PROPERTY_TYPE_0) => {
                found.properties.get_or_insert_with(|| properties(encoding, self.desc));
            }
            #[cfg(feature = "audit")]
            (b"FDO", elf::NoteType(FDO_DLOPEN)) => match dlopen::parse(self.desc) {
                Ok(notes) => found.dlopen.extend(notes),
                Err(error) => found.dlopen_error = Some(error),
            },
            _ => {}
        }
    }
}

/// An array of `pr_type:u32 pr_datasz:u32 pr_data`, each padded to the word size.
fn properties(encoding: Encoding, desc: &[u8]) -> GnuProperties {
    let mut properties = GnuProperties::default();
    let mut rest = desc;
    while let (Some(kind), Some(size)) = (encoding.u32(rest, 0), encoding.u32(rest, 4)) {
        let value = if size >= 4 { encoding.u32(rest, 8) } else { None };
        let slot = match elf::GnuPropertyType(kind) {
            elf::GNU_PROPERTY_X86_ISA_1_NEEDED => Some(&mut properties.x86_isa_needed),
            elf::GNU_PROPERTY_X86_ISA_1_USED => Some(&mut properties.x86_isa_used),
            elf::GNU_PROPERTY_X86_FEATURE_1_AND => Some(&mut properties.x86_features),
            elf::GNU_PROPERTY_AARCH64_FEATURE_1_AND => Some(&mut properties.aarch64_features),
            _ => None,
        };
        if let Some(slot) = slot {
            *slot = value;
        }
        let step = (size as usize).checked_next_multiple_of(encoding.word_size());
        let Some(next) = step.and_then(|step| rest.get(step.checked_add(8)?..)) else { break };
        rest = next;
    }
    properties
}

/// The JSON of `.note.dlopen`.
#[cfg(feature = "audit")]
mod dlopen {
    use bstr::ByteSlice as _;
    use serde::Deserialize;

    use crate::error::FileError;
    use crate::model::DlopenNote;
    use crate::name::Name;

    #[derive(Deserialize)]
    struct Entry {
        soname: Vec<String>,
        #[serde(default)]
        feature: String,
        #[serde(default)]
        description: String,
        #[serde(default)]
        priority: String,
    }

    pub(super) fn parse(desc: &[u8]) -> Result<Vec<DlopenNote>, FileError> {
        let end = desc.find_byte(0).unwrap_or(desc.len());
        let entries: Vec<Entry> = serde_json::from_slice(&desc[..end]).map_err(|error| {
            FileError::malformed(format!("the .note.dlopen note is not its JSON: {error}"))
        })?;
        Ok(entries
            .into_iter()
            .map(|entry| DlopenNote {
                sonames: entry.soname.iter().map(|soname| Name::from(soname.as_str())).collect(),
                priority: Name::from(entry.priority.as_str()),
                feature: Name::from(entry.feature.as_str()),
                description: Name::from(entry.description.as_str()),
            })
            .collect())
    }
}
