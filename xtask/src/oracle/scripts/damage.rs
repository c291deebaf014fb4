//! Damaged copies of scripts: pieces of syntax put in or taken out at random places.

/// Numbers that are the same in every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound.max(1)
    }

    /// A copy with a few pieces of syntax put in or taken out.
    pub(super) fn damage(&mut self, text: &[u8]) -> Vec<u8> {
        const PIECES: [&[u8]; 34] = [
            b"'",
            b"\"",
            b"$$",
            b"$a$",
            b"$",
            b"/*",
            b"*/",
            b"--",
            b"\n",
            b"(",
            b")",
            b";",
            b"E'",
            b"U&'",
            b"U&\"",
            b"B'",
            b"X'",
            b"N'",
            b"\\",
            b"\\'",
            b"''",
            b"\xc3\xa9",
            b" END",
            b"BEGIN ATOMIC ",
            b" UESCAPE '!' ",
            b"'\n'",
            b"'--x\n'",
            b"1e5",
            b"0x1",
            b"1..2",
            b"->",
            b"+-",
            b"::",
            b" AS ",
        ];
        let mut damaged = text.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(damaged.len() + 1);
            if self.below(3) == 0 {
                let end = (at + self.below(8)).min(damaged.len());
                damaged.drain(at..end);
            } else if let Some(piece) = PIECES.get(self.below(PIECES.len())) {
                damaged.splice(at..at, piece.iter().copied());
            }
        }
        damaged
    }
}
