//! The letters that are drawn on pictures: 8x8 dots each, of the font8x8 collection, which is in the public domain.

use font8x8::{BASIC_FONTS, GREEK_FONTS, LATIN_FONTS, UnicodeFonts};

/// Columns and rows of a glyph, the blank ones between letters included.
pub(super) const GLYPH_SIDE: usize = 8;

/// The rows of a letter from the top, its leftmost dot in the lowest bit. What is not there is a question mark.
pub(super) fn glyph(letter: char) -> [u8; GLYPH_SIDE] {
    let found = BASIC_FONTS.get(letter).or_else(|| LATIN_FONTS.get(letter)).or_else(|| GREEK_FONTS.get(letter));
    found.or_else(|| BASIC_FONTS.get('?')).unwrap_or_default()
}
