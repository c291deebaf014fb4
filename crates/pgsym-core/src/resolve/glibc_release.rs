//! What a version name of glibc (`GLIBC_2.38`, `GLIBC_ABI_DT_RELR`) asks for: the first release that has it.

/// Version names of glibc without a number: `GLIBC_ABI_` and a feature of the loader that the file relies on. From
/// elf/Versions, sysdeps/x86/Versions, sysdeps/i386/Versions and sysdeps/x86_64/Versions, and which of the release
/// branches got the name later on.
const FEATURES: &[Feature] = &[
    Feature { name: "DT_RELR", since: (2, 36), branches: None },
    Feature { name: "GNU2_TLS", since: (2, 43), branches: Some((2, 38)) },
    Feature { name: "GNU_TLS", since: (2, 43), branches: Some((2, 38)) },
    Feature { name: "DT_X86_64_PLT", since: (2, 43), branches: Some((2, 33)) },
];

struct Feature {
    name: &'static str,
    /// The first release that has it.
    since: (u32, u32),
    /// The oldest release whose branch has it, too, since August 2025: distributions that follow the branch have the
    /// name, the release itself has not.
    branches: Option<(u32, u32)>,
}

/// What a version name asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asked {
    /// A release.
    Release(u32, u32),
    /// A known feature, by index.
    Feature(usize),
    /// A feature that came later than this list.
    Unknown,
}

impl Asked {
    /// `GLIBC_2.38` is a release; patch levels (`GLIBC_2.2.5`) are no newer than their minor version.
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?;
        if let Some(feature) = text.strip_prefix("ABI_") {
            let known = FEATURES.iter().position(|known| known.name == feature);
            return Some(known.map_or(Self::Unknown, Self::Feature));
        }
        let mut parts = text.split('.');
        Some(Self::Release(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }

    fn feature(self) -> Option<&'static Feature> {
        match self {
            Self::Feature(index) => FEATURES.get(index),
            Self::Release(..) | Self::Unknown => None,
        }
    }

    /// The oldest release whose branch got it later on.
    pub(crate) fn branches(self) -> Option<(u32, u32)> {
        self.feature()?.branches
    }

    /// The first release that has it; nothing where that is not known.
    pub(crate) fn since(self) -> Option<(u32, u32)> {
        match self {
            Self::Release(major, minor) => Some((major, minor)),
            Self::Feature(_) => self.feature().map(|feature| feature.since),
            Self::Unknown => None,
        }
    }
}

/// The newest release whose version names are listed here.
pub(crate) const NEWEST: (u32, u32) = (2, 43);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_two_numbers_that_count() {
        assert_eq!(Asked::of(b"GLIBC_2.2.5"), Some(Asked::Release(2, 2)));
        assert_eq!(Asked::of(b"GLIBC_PRIVATE"), None);
        assert_eq!(Asked::of(b"GLIBCXX_3.4"), None);
    }
}
