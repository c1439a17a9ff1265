//! How a person sees what an application chose freely: bytes as a number of bytes, text without control of the terminal.
//!
//! Owns no message: only the parts that messages, logs and errors are made of.

use std::fmt;

/// A number of bytes, shown in place of the bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Size(pub usize);

impl Size {
    /// The size of these bytes.
    pub const fn of(bytes: &[u8]) -> Self {
        Self(bytes.len())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that another process chose, shown in one line and without control of the terminal: every character that is
/// [unseen](is_unseen) is written out, as in a string of the language. A text that is shown twice stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a>(pub &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '\t' | '\n' | '\r' => write!(f, "{}", letter.escape_default()),
            letter if is_unseen(letter) => write!(f, "{}", letter.escape_unicode()),
            letter => fmt::Write::write_char(f, letter),
        })
    }
}

/// Whether a character has no shape of its own, so that two texts can look alike and differ, or changes the direction or
/// the place of others: control characters, and what Unicode gives the property `Default_Ignorable_Code_Point`, or calls
/// a separator of lines or an annotation.
///
/// The list is fixed, so that no two builds of a program disagree on what a name is.
pub fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        for (text, shown) in [
            ("worker 3", "worker 3"),
            ("it's \"B\\C\"", "it's \"B\\C\""),
            ("büro ☂ 写真 e\u{301}", "büro ☂ 写真 e\u{301}"),
            ("two\r\nlines\tand\0", "two\\r\\nlines\\tand\\u{0}"),
            ("\u{1b}[2Jgone\u{7f}\u{9b}", "\\u{1b}[2Jgone\\u{7f}\\u{9b}"),
            ("\u{202e}turned\u{2066}\u{61c}", "\\u{202e}turned\\u{2066}\\u{61c}"),
            ("zero\u{200b}width\u{feff}", "zero\\u{200b}width\\u{feff}"),
        ] {
            assert_eq!(Plain(text).to_string(), shown);
            assert_eq!(Plain(shown).to_string(), shown, "twice");
        }
    }

    #[test]
    fn every_character_that_turns_or_hides_text_is_unseen() {
        let turning =
            ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}').chain(['\u{200e}', '\u{200f}', '\u{61c}']);
        let hidden = ('\u{200b}'..='\u{200d}').chain(['\u{2060}', '\u{feff}', '\u{ad}', '\u{180e}', '\u{fe0f}']);
        let tags = ['\u{e0001}', '\u{e0041}', '\u{e0100}'];
        for letter in turning.chain(hidden).chain(tags).chain(['\u{2028}', '\u{2029}', '\0', '\u{85}']) {
            assert!(is_unseen(letter), "{}", letter.escape_unicode());
        }
        for letter in "aß☂写の\u{301}é \u{a0}\u{3000}\u{1f600}".chars() {
            assert!(!is_unseen(letter), "{letter}");
        }
        let unseen = (0..=0x10_ffff).filter_map(char::from_u32).filter(|letter| is_unseen(*letter)).count();
        assert_eq!(unseen, 65 + 4179, "the list has not changed by mistake");
    }
}
