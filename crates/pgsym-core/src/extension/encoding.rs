//! The encodings that a control file's `encoding` may name, and what the server says of bytes that are no text in them
//! (src/common/encnames.c: pg_encname_tbl, pg_enc2name_tbl; src/common/wchar.c: the verifychar and mblen functions;
//! src/backend/utils/mb/mbutils.c: pg_verify_mbstr, report_invalid_encoding).

use bstr::ByteSlice;

use super::sql::SyntaxError;

/// An encoding that a database can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    /// The server's name of it.
    name: &'static str,
    characters: Characters,
}

/// How its characters are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Characters {
    /// Every byte but zero is one.
    Bytes,
    Utf8,
    /// EUC_JP and EUC_JIS_2004.
    Japanese,
    /// EUC_CN and EUC_KR.
    Pairs,
    /// EUC_TW.
    Planes,
    /// MULE_INTERNAL.
    Mule,
}

/// SS2 and SS3, the bytes that shift EUC to another set for one character.
const SS2: u8 = 0x8e;
const SS3: u8 = 0x8f;

impl Encoding {
    /// UTF8.
    pub(super) const UTF8: Self = Self { name: "UTF8", characters: Characters::Utf8 };

    /// `pg_valid_server_encoding`: letters and digits decide, in any case.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        let clean: Vec<u8> =
            name.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
        let found = NAMES.binary_search_by(|(known, _)| known.as_bytes().cmp(&clean)).ok()?;
        let &(_, name) = NAMES.get(found)?;
        let characters = match name {
            "UTF8" => Characters::Utf8,
            "EUC_JP" | "EUC_JIS_2004" => Characters::Japanese,
            "EUC_CN" | "EUC_KR" => Characters::Pairs,
            "EUC_TW" => Characters::Planes,
            "MULE_INTERNAL" => Characters::Mule,
            _ => Characters::Bytes,
        };
        Some(Self { name, characters })
    }

    /// Whether text in it is text in whatever encoding the database has: SQL_ASCII says nothing of bytes above 127.
    pub(super) fn is_ascii(self) -> bool {
        self.name == "SQL_ASCII"
    }

    /// The first bytes that are no character.
    pub(super) fn error(self, bytes: &[u8]) -> Option<SyntaxError> {
        let zero = bytes.find_byte(0);
        let offset = match (zero, self.invalid(bytes)) {
            (Some(zero), Some(invalid)) => zero.min(invalid),
            (zero, invalid) => zero.or(invalid)?,
        };
        // The server lists the bytes that the first one announces, as far as there are any.
        let rest = bytes.get(offset..).unwrap_or_default();
        let announced = rest.first().map_or(1, |&first| self.announced(first));
        let hex: Vec<String> = rest.iter().take(announced).map(|b| format!("0x{b:02x}")).collect();
        let message = format!("invalid byte sequence for encoding \"{}\": {}", self.name, hex.join(" "));
        Some(SyntaxError { message, offset })
    }

    /// Where the first bytes are that are no character, zero apart.
    fn invalid(self, bytes: &[u8]) -> Option<usize> {
        match self.characters {
            Characters::Bytes => None,
            Characters::Utf8 => std::str::from_utf8(bytes).err().map(|error| error.valid_up_to()),
            _ => {
                let mut at = 0;
                loop {
                    at += bytes.get(at..)?.find_non_ascii_byte()?;
                    match self.character(bytes.get(at..)?) {
                        Some(length) => at += length,
                        None => return Some(at),
                    }
                }
            }
        }
    }

    /// The length of the character that some bytes begin with, the first of which is above 127.
    fn character(self, bytes: &[u8]) -> Option<usize> {
        // IS_EUC_RANGE_VALID
        let is_euc = |bytes: &[u8]| bytes.iter().all(|b| (0xa1..=0xfe).contains(b));
        let length = self.announced(*bytes.first()?);
        let (&first, trail) = bytes.get(..length)?.split_first()?;
        let is_valid = match (self.characters, first) {
            (Characters::Japanese, SS2) => trail.iter().all(|b| (0xa1..=0xdf).contains(b)),
            (Characters::Japanese, SS3) => is_euc(trail),
            // The first byte of two is not looked at.
            (Characters::Planes, SS2) => {
                trail.first().is_some_and(|b| (0xa1..=0xa7).contains(b)) && is_euc(trail)
            }
            (Characters::Planes, SS3) => false,
            (Characters::Planes, _) => is_euc(trail),
            (Characters::Mule, _) => !trail.iter().any(u8::is_ascii),
            _ => is_euc(&[first]) && is_euc(trail),
        };
        is_valid.then_some(length)
    }

    /// How many bytes a character has that begins with this one.
    fn announced(self, first: u8) -> usize {
        match (self.characters, first) {
            (Characters::Bytes, _) | (_, 0..=0x7f) => 1,
            (Characters::Utf8, 0xc0..=0xdf) => 2,
            (Characters::Utf8, 0xe0..=0xef) => 3,
            (Characters::Utf8, 0xf0..=0xf7) => 4,
            (Characters::Utf8, _) => 1,
            (Characters::Mule, 0x80 | 0x8e | 0x8f | 0x9e..) => 1,
            (Characters::Mule, 0x81..=0x8d) => 2,
            (Characters::Mule, 0x90..=0x9b) => 3,
            (Characters::Mule, 0x9c | 0x9d) => 4,
            (Characters::Planes, SS2) => 4,
            (_, SS3) => 3,
            _ => 2,
        }
    }
}

/// The names, as they are compared, of all encodings that a database can have.
const NAMES: [(&str, &str); 64] = [
    ("abc", "WIN1258"),
    ("alt", "WIN866"),
    ("euccn", "EUC_CN"),
    ("eucjis2004", "EUC_JIS_2004"),
    ("eucjp", "EUC_JP"),
    ("euckr", "EUC_KR"),
    ("euctw", "EUC_TW"),
    ("iso88591", "LATIN1"),
    ("iso885910", "LATIN6"),
    ("iso885913", "LATIN7"),
    ("iso885914", "LATIN8"),
    ("iso885915", "LATIN9"),
    ("iso885916", "LATIN10"),
    ("iso88592", "LATIN2"),
    ("iso88593", "LATIN3"),
    ("iso88594", "LATIN4"),
    ("iso88595", "ISO_8859_5"),
    ("iso88596", "ISO_8859_6"),
    ("iso88597", "ISO_8859_7"),
    ("iso88598", "ISO_8859_8"),
    ("iso88599", "LATIN5"),
    ("koi8", "KOI8R"),
    ("koi8r", "KOI8R"),
    ("koi8u", "KOI8U"),
    ("latin1", "LATIN1"),
    ("latin10", "LATIN10"),
    ("latin2", "LATIN2"),
    ("latin3", "LATIN3"),
    ("latin4", "LATIN4"),
    ("latin5", "LATIN5"),
    ("latin6", "LATIN6"),
    ("latin7", "LATIN7"),
    ("latin8", "LATIN8"),
    ("latin9", "LATIN9"),
    ("muleinternal", "MULE_INTERNAL"),
    ("sqlascii", "SQL_ASCII"),
    ("tcvn", "WIN1258"),
    ("tcvn5712", "WIN1258"),
    ("unicode", "UTF8"),
    ("utf8", "UTF8"),
    ("vscii", "WIN1258"),
    ("win", "WIN1251"),
    ("win1250", "WIN1250"),
    ("win1251", "WIN1251"),
    ("win1252", "WIN1252"),
    ("win1253", "WIN1253"),
    ("win1254", "WIN1254"),
    ("win1255", "WIN1255"),
    ("win1256", "WIN1256"),
    ("win1257", "WIN1257"),
    ("win1258", "WIN1258"),
    ("win866", "WIN866"),
    ("win874", "WIN874"),
    ("windows1250", "WIN1250"),
    ("windows1251", "WIN1251"),
    ("windows1252", "WIN1252"),
    ("windows1253", "WIN1253"),
    ("windows1254", "WIN1254"),
    ("windows1255", "WIN1255"),
    ("windows1256", "WIN1256"),
    ("windows1257", "WIN1257"),
    ("windows1258", "WIN1258"),
    ("windows866", "WIN866"),
    ("windows874", "WIN874"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn said(encoding: &str, bytes: &[u8]) -> Option<String> {
        let error = Encoding::named(encoding.as_bytes()).expect("an encoding").error(bytes)?;
        Some(error.message.trim_start_matches("invalid byte sequence for encoding ").to_owned())
    }

    #[test]
    fn the_names_are_sorted_for_the_search() {
        assert!(NAMES.is_sorted());
        assert_eq!(Encoding::named(b"Utf-8"), Some(Encoding::UTF8));
        assert_eq!(Encoding::named(b"big5"), None);
    }

    /// What PostgreSQL 15.20 and 18.4 say of a script that is `-- `, these bytes and ` -- xyz`; 13 lists one byte less of
    /// EUC_CN.
    #[test]
    fn bytes_that_are_no_character_are_listed_as_the_server_does() {
        for (encoding, bytes, expected) in [
            ("euc_jp", b"\xa4".as_slice(), "\"EUC_JP\": 0xa4 0x20"),
            ("euc_jp", b"\xa4\n", "\"EUC_JP\": 0xa4 0x0a"),
            ("euc_jp", b"\x8e\xe0", "\"EUC_JP\": 0x8e 0xe0"),
            ("euc_jp", b"\x8e", "\"EUC_JP\": 0x8e 0x20"),
            ("euc_jp", b"\x8f\xa1", "\"EUC_JP\": 0x8f 0xa1 0x20"),
            ("euc_jp", b"\x80\xa1", "\"EUC_JP\": 0x80 0xa1"),
            ("euc_jp", b"\xff\xa1", "\"EUC_JP\": 0xff 0xa1"),
            ("euc_jp", b"\xa1\xff", "\"EUC_JP\": 0xa1 0xff"),
            ("euc_kr", b"\x8e\xa1", "\"EUC_KR\": 0x8e 0xa1"),
            ("euc_cn", b"\x8f\xa1\xa1", "\"EUC_CN\": 0x8f 0xa1 0xa1"),
            ("euc_tw", b"\xa4", "\"EUC_TW\": 0xa4 0x20"),
            ("euc_tw", b"\x8e\xa8\xa1\xa1", "\"EUC_TW\": 0x8e 0xa8 0xa1 0xa1"),
            ("euc_tw", b"\x8e\xa1", "\"EUC_TW\": 0x8e 0xa1 0x20 0x2d"),
            ("euc_tw", b"\x8f\xa1\xa1", "\"EUC_TW\": 0x8f 0xa1 0xa1"),
            ("euc_jis_2004", b"\xa4", "\"EUC_JIS_2004\": 0xa4 0x20"),
            ("mule_internal", b"\x81a", "\"MULE_INTERNAL\": 0x81 0x61"),
            ("mule_internal", b"\x90\xa1", "\"MULE_INTERNAL\": 0x90 0xa1 0x20"),
            ("mule_internal", b"\x9c\xe0", "\"MULE_INTERNAL\": 0x9c 0xe0 0x20 0x2d"),
            ("unicode", b"\xe9\xa0", "\"UTF8\": 0xe9 0xa0 0x20"),
            ("utf-8", b"\xf5\xa0\xa0\xa0", "\"UTF8\": 0xf5 0xa0 0xa0 0xa0"),
            ("sql_ascii", b"\0", "\"SQL_ASCII\": 0x00"),
            ("iso-8859-1", b"\0", "\"LATIN1\": 0x00"),
            ("koi8", b"\0", "\"KOI8R\": 0x00"),
            ("win", b"\0", "\"WIN1251\": 0x00"),
            ("abc", b"\0", "\"WIN1258\": 0x00"),
            ("alt", b"\0", "\"WIN866\": 0x00"),
            ("iso_8859_5", b"\0", "\"ISO_8859_5\": 0x00"),
        ] {
            let text = [b"-- ", bytes, b" -- xyz\n"].concat();
            assert_eq!(said(encoding, &text).as_deref(), Some(expected), "{bytes:x?}");
        }
        assert_eq!(said("euc_jp", b"-- \xa4").as_deref(), Some("\"EUC_JP\": 0xa4"));
    }

    #[test]
    fn characters_of_the_encoding_are_taken() {
        for (encoding, bytes) in [
            ("euc_jp", b"\xa4\xa4".as_slice()),
            ("euc_jp", b"\x8e\xa1\x8f\xa1\xa1"),
            ("euc_kr", b"\xb0\xa1"),
            ("euc_cn", b"\xb0\xa1"),
            ("euc_tw", b"\xc4\xa1\x8e\xa2\xa1\xa1\x80\xa1"),
            ("euc_jis_2004", b"\xa4\xa4"),
            ("mule_internal", b"\x81\xa1\xa0"),
            ("sql_ascii", b"\xe9"),
            ("latin1", b"\xe9"),
        ] {
            let text = [b"-- ", bytes, b" -- xyz\n"].concat();
            assert_eq!(said(encoding, &text), None, "{bytes:x?}");
        }
    }
}
