//! Cuts text into tokens: runs of one kind of character, and Thai runs further into words.
//!
//! A Thai run is cut where the fewest characters stay outside the dictionary, and among those cuts where the fewest
//! words result (maximal matching). Cuts fall only between character clusters: never before a vowel sign or tone
//! mark that belongs to the consonant before it, and never after a vowel that is written before its consonant.

use std::collections::HashSet;
use std::sync::LazyLock;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A run of letters of a script that separates words.
    Word,
    /// A Thai word, or a run of Thai that the dictionary does not know.
    Thai,
    /// A run of decimal digits.
    Number,
    /// Everything else.
    Blank,
}

/// A token by its bytes in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// The dictionary: one word per line, `#` for comments.
static WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("words.txt")
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
});

/// Characters of the longest word of the dictionary.
static LONGEST_WORD: LazyLock<usize> =
    LazyLock::new(|| WORDS.iter().map(|word| word.chars().count()).max().unwrap_or(0));

/// Cuts a text into tokens that cover it from start to end.
pub fn segment(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut characters = text.char_indices().peekable();
    while let Some((start, first)) = characters.next() {
        let kind = kind_of(first);
        let mut end = start + first.len_utf8();
        while let Some(&(index, c)) = characters.peek() {
            if kind_of(c) != kind {
                break;
            }
            end = index + c.len_utf8();
            characters.next();
        }
        if kind == Kind::Thai {
            cut_thai(&text[start..end], start, &mut tokens);
        } else {
            tokens.push(Token { kind, start, end });
        }
    }
    tokens
}

fn kind_of(c: char) -> Kind {
    match c {
        '\u{0e50}'..='\u{0e59}' | '0'..='9' => Kind::Number,
        '\u{0e01}'..='\u{0e3a}' | '\u{0e40}'..='\u{0e4e}' => Kind::Thai,
        c if c.is_alphanumeric() => Kind::Word,
        _ => Kind::Blank,
    }
}

/// The best way to reach one position of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Path {
    /// Characters that no dictionary word covers; what is minimised first.
    unknown: usize,
    /// Tokens so far.
    tokens: usize,
    /// Where the last token or cluster starts.
    previous: usize,
    /// Whether that is a dictionary word.
    is_word: bool,
}

/// Cuts a Thai run, which starts at byte `base` of the text.
fn cut_thai(run: &str, base: usize, tokens: &mut Vec<Token>) {
    let offsets: Vec<usize> =
        run.char_indices().map(|(index, _)| index).chain(std::iter::once(run.len())).collect();
    let characters: Vec<char> = run.chars().collect();
    let count = characters.len();
    let is_cut = |index: usize| {
        index == 0
            || index == count
            || (!belongs_to_the_left(characters[index]) && !belongs_to_the_right(characters[index - 1]))
    };
    let mut best: Vec<Option<Path>> = vec![None; count + 1];
    best[0] = Some(Path { unknown: 0, tokens: 0, previous: 0, is_word: true });
    let mut cluster_start = 0;
    for end in (1..=count).filter(|&end| is_cut(end)) {
        // A cluster outside the dictionary joins the unknown token before it.
        let mut path = best[cluster_start].map(|before| Path {
            unknown: before.unknown + (end - cluster_start),
            tokens: before.tokens + usize::from(before.is_word),
            previous: cluster_start,
            is_word: false,
        });
        for start in (end.saturating_sub(*LONGEST_WORD)..end).filter(|&start| is_cut(start)) {
            let Some(before) = best[start] else { continue };
            if WORDS.contains(&run[offsets[start]..offsets[end]]) {
                let (unknown, tokens) = (before.unknown, before.tokens + 1);
                let word = Path { unknown, tokens, previous: start, is_word: true };
                path = Some(path.map_or(word, |path| path.min(word)));
            }
        }
        best[end] = path;
        cluster_start = end;
    }
    let first = tokens.len();
    let mut end = count;
    let mut is_after_unknown = false;
    while end > 0 {
        let Some(path) = best[end] else { break };
        match tokens.last_mut() {
            // Walking backwards, a cluster before an unknown token becomes its beginning.
            Some(token) if !path.is_word && is_after_unknown => token.start = base + offsets[path.previous],
            _ => {
                let (start, end) = (base + offsets[path.previous], base + offsets[end]);
                tokens.push(Token { kind: Kind::Thai, start, end });
            }
        }
        is_after_unknown = !path.is_word;
        end = path.previous;
    }
    tokens[first..].reverse();
}

/// Vowel signs after, above and below a consonant, tone marks and other signs.
fn belongs_to_the_left(c: char) -> bool {
    matches!(c, '\u{0e30}'..='\u{0e3a}' | '\u{0e45}' | '\u{0e47}'..='\u{0e4e}')
}

/// The vowels that are written before their consonant: เ แ โ ใ ไ.
fn belongs_to_the_right(c: char) -> bool {
    matches!(c, '\u{0e40}'..='\u{0e44}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        segment(text).into_iter().map(|token| &text[token.start..token.end]).collect()
    }

    #[test]
    fn thai_is_cut_at_dictionary_words() {
        assert_eq!(words("ฉันรักภาษาไทย"), ["ฉัน", "รัก", "ภาษา", "ไทย"]);
    }

    #[test]
    fn the_longest_words_win() {
        assert_eq!(words("รถไฟฟ้ามหานคร"), ["รถไฟฟ้า", "มหานคร"]);
        assert_eq!(words("ฐานข้อมูล"), ["ฐานข้อมูล"]);
    }

    #[test]
    fn what_the_dictionary_does_not_know_stays_in_one_piece() {
        assert_eq!(words("ฉันรักกุ๊กกิ๊ก"), ["ฉัน", "รัก", "กุ๊กกิ๊ก"]);
    }

    #[test]
    fn no_cut_separates_a_tone_mark_or_a_leading_vowel() {
        // The dictionary knows มา; in เมาะ it stands between a leading vowel and a sign.
        assert_eq!(words("เมาะ"), ["เมาะ"]);
    }

    #[test]
    fn kinds_follow_the_characters() {
        let kinds: Vec<Kind> = segment("PostgreSQL 15 ค้นหา, ๑๒").iter().map(|token| token.kind).collect();
        let expected =
            [Kind::Word, Kind::Blank, Kind::Number, Kind::Blank, Kind::Thai, Kind::Blank, Kind::Number];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn tokens_cover_any_text_without_gaps() {
        for text in ["", "ก", "์์์", "เเเ", "a\u{0e33}\u{0e33}b", "ฉันรักกุ๊กกิ๊กfoo ๑๒ 15 ไม่มี\0"]
        {
            let mut at = 0;
            for token in segment(text) {
                assert_eq!(token.start, at, "{text:?}");
                assert!(token.end > token.start, "{text:?}");
                at = token.end;
            }
            assert_eq!(at, text.len(), "{text:?}");
        }
    }
}
