//! What a small function returns, read from its machine code without running it. `Pg_magic_func` and every
//! `pg_finfo_*` return the address of a constant, in a handful of shapes per machine; the decoders know the
//! instructions of those shapes and pass over all others.
//!
//! Every address that is formed is a candidate, and the caller checks what lies there. What is said to be *returned*
//! is held to more: an instruction that a decoder does not know makes it forget what the registers hold, so that it
//! rather says nothing than something wrong.

mod aarch64;
mod arm;
mod power;
mod s390;
mod x86;

use object::elf;

use crate::model::{Class, Endian, Target};

/// An address that the code computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) place: Place,
    /// Whether it is what the function returns, as far as the decoder sees.
    pub(crate) is_returned: bool,
}

/// Where the constant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At this address.
    Here(u64),
    /// Where the pointer at this address (in the GOT) points.
    Behind(u64),
}

/// One function's machine code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Code<'a> {
    /// Bytes from the function's first one on; the constants of its literal pool may lie behind its end.
    pub(crate) bytes: &'a [u8],
    /// Bytes of the function itself: no more than `bytes` has.
    pub(crate) length: usize,
    /// Address of the first byte, on ARM without the Thumb bit.
    pub(crate) address: u64,
    /// ARM: whether the code is Thumb.
    pub(crate) is_thumb: bool,
}

impl Code<'_> {
    /// The function's own bytes.
    fn body(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(self.bytes)
    }
}

/// The addresses that the code computes, in its order; nothing for a machine that is not decoded.
pub(crate) fn references(target: Target, code: Code<'_>) -> Option<Vec<Reference>> {
    match (target.machine, target.class, target.endian) {
        (elf::EM_X86_64, ..) => Some(x86::rip_relative(code)),
        (elf::EM_386, ..) => Some(x86::got_relative(code)),
        // Instructions are little endian on both kinds of AArch64.
        (elf::EM_AARCH64, Class::Bits64, _) => Some(aarch64::references(code)),
        (elf::EM_ARM, _, Endian::Little) => Some(arm::references(code)),
        (elf::EM_S390, Class::Bits64, _) => Some(s390::references(code)),
        (elf::EM_PPC64, _, endian) => Some(power::references(code, endian)),
        _ => None,
    }
}

/// Whether a function's whole code is one of those that compilers write for `return NULL`.
pub(crate) fn returns_null(machine: object::elf::Machine, code: Code<'_>) -> bool {
    let mut body = code.body();
    let mut pass = |prefix: &[u8]| {
        let found = body.strip_prefix(prefix);
        body = found.unwrap_or(body);
        found.is_some()
    };
    match machine {
        elf::EM_X86_64 | elf::EM_386 => {
            let _ = pass(&[0xf3, 0x0f, 0x1e, 0xfa]) || pass(&[0xf3, 0x0f, 0x1e, 0xfb]); // endbr64, endbr32
            let has_frame = pass(&[0x55, 0x48, 0x89, 0xe5]) || pass(&[0x55, 0x89, 0xe5]); // push bp; mov bp,sp
            let is_zero = pass(&[0x31, 0xc0]) || pass(&[0xb8, 0, 0, 0, 0]); // xor eax,eax; mov eax,0
            is_zero && (!has_frame || pass(&[0x5d])) && pass(&[0xc3]) // pop bp; ret
        }
        elf::EM_AARCH64 => {
            let _ = pass(&[0x5f, 0x24, 0x03, 0xd5]); // bti c
            let is_zero = pass(&[0x00, 0x00, 0x80, 0xd2]) || pass(&[0xe0, 0x03, 0x1f, 0xaa]); // mov x0,#0; mov x0,xzr
            is_zero && pass(&[0xc0, 0x03, 0x5f, 0xd6]) // ret
        }
        _ => false,
    }
}

/// What the registers hold, of machines with fixed instruction width: the decoders follow each address through
/// moves and additions until the function returns.
struct Registers<const N: usize> {
    values: [Option<Value>; N],
    found: Vec<Reference>,
}

/// What one register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// A part of an address, such as its page: no candidate yet.
    Part(u64),
    /// A finished address, or the pointer behind it.
    At(Place),
}

impl<const N: usize> Registers<N> {
    fn new() -> Self {
        Self { values: [None; N], found: Vec::new() }
    }

    fn get(&self, register: u32) -> Option<Value> {
        self.values.get(register as usize).copied().flatten()
    }

    /// The address, whole or part, in a register.
    fn address(&self, register: u32) -> Option<u64> {
        match self.get(register)? {
            Value::Part(address) | Value::At(Place::Here(address)) => Some(address),
            Value::At(Place::Behind(_)) => None,
        }
    }

    /// Sets a register; a finished address becomes a candidate.
    fn set(&mut self, register: u32, value: Option<Value>) {
        if let Some(slot) = self.values.get_mut(register as usize) {
            *slot = value;
        }
        if let Some(Value::At(place)) = value
            && !self.found.iter().any(|reference| reference.place == place)
        {
            self.found.push(Reference { place, is_returned: false });
        }
    }

    /// Notes what the result register holds when the function returns.
    fn returns(&mut self, register: u32) {
        if let Some(Value::At(place)) = self.get(register)
            && let Some(reference) = self.found.iter_mut().find(|reference| reference.place == place)
        {
            reference.is_returned = true;
        }
    }

    /// Forgets what an unknown instruction may have changed: anything.
    fn forget_all(&mut self) {
        self.values.fill(None);
    }

    /// Forgets the registers that a call may change.
    fn forget(&mut self, registers: std::ops::RangeInclusive<usize>) {
        if let Some(values) = self.values.get_mut(registers) {
            values.fill(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes bytes that stand at 0x1000.
    pub(super) fn decode(
        machine: elf::Machine,
        class: Class,
        endian: Endian,
        bytes: &[u8],
    ) -> Vec<Reference> {
        decode_thumb(machine, class, endian, bytes, false)
    }

    pub(super) fn decode_thumb(
        machine: elf::Machine,
        class: Class,
        endian: Endian,
        bytes: &[u8],
        is_thumb: bool,
    ) -> Vec<Reference> {
        let target = Target { machine, class, endian, os_abi: 0, abi_version: 0, flags: 0 };
        references(target, Code { bytes, length: bytes.len(), address: 0x1000, is_thumb }).unwrap()
    }

    pub(super) fn returned(references: &[Reference]) -> Vec<Place> {
        let returned = references.iter().filter(|reference| reference.is_returned);
        returned.map(|reference| reference.place).collect()
    }

    #[test]
    fn an_unknown_machine_is_not_decoded() {
        let target = Target {
            machine: elf::EM_LOONGARCH,
            class: Class::Bits64,
            endian: Endian::Little,
            os_abi: 0,
            abi_version: 0,
            flags: 0,
        };
        let code = Code { bytes: &[0; 16], length: 16, address: 0, is_thumb: false };
        assert_eq!(references(target, code), None);
    }
}
