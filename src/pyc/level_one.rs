//! Decides from a source's bytes whether it has the same bytecode at levels 0 and 1.
//!
//! Level 1 differs only in `assert` statements and in code that depends on `__debug__`. A source without these two
//! words has neither, if its bytes are what Python reads. Another declared encoding changes that: in UTF-7,
//! `+AGEAcwBz-ert` is a statement. So do non-ASCII characters, because names are normalized (NFKC) and `__ｄｅｂｕｇ__` is
//! `__debug__`.

/// Encodings that contain ASCII unchanged, as PEP 263 and the codecs' registry spell them. Lower case, with hyphens
/// instead of underscores.
const ASCII_ENCODINGS: [&[u8]; 10] = [
    b"utf-8",
    b"utf8",
    b"ascii",
    b"us-ascii",
    b"latin-1",
    b"latin1",
    b"iso-8859-1",
    b"iso8859-1",
    b"iso-latin-1",
    b"utf-8-unix",
];

/// Whether the level 1 bytecode of this source is certainly that of level 0.
///
/// In doubt the answer is no. Words in comments and strings count, and so do non-ASCII bytes, control characters, and
/// anything like the declaration of another encoding.
pub fn level_one_is_level_zero(source: &[u8]) -> bool {
    source.iter().copied().all(is_plain)
        && !contains(source, b"assert")
        && !contains(source, b"__debug__")
        && has_ascii_encoding(source)
}

/// Whether the tokenizer takes this byte literally. Some versions stop at zero bytes.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r' | b'\x0c')
}

fn contains(source: &[u8], word: &[u8]) -> bool {
    let [first, ..] = word else {
        return true;
    };
    let mut rest = source;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = rest.get(at..).unwrap_or_default();
        if rest.starts_with(word) {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

/// Whether the first two lines declare no encoding (PEP 263), or one that contains ASCII unchanged.
///
/// This examines more text than Python does. Lines end only at a line feed, so they may be longer than Python's, and
/// they need not be comments.
fn has_ascii_encoding(source: &[u8]) -> bool {
    let mut lines = source.split(|&byte| byte == b'\n');
    lines.by_ref().take(2).all(|line| {
        let mut rest = line;
        while let Some(at) = rest.windows(6).position(|word| word == b"coding") {
            rest = rest.get(at + 6..).unwrap_or_default();
            if let [b':' | b'=', name @ ..] = rest
                && !is_ascii_encoding(name)
            {
                return false;
            }
        }
        true
    })
}

/// Whether the text begins with the name of an encoding that contains ASCII unchanged.
fn is_ascii_encoding(text: &[u8]) -> bool {
    let name: Vec<u8> = text
        .iter()
        .skip_while(|byte| matches!(byte, b' ' | b'\t'))
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        .map(|byte| match byte {
            b'_' => b'-',
            _ => byte.to_ascii_lowercase(),
        })
        .collect();
    ASCII_ENCODINGS.contains(&name.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same(source: impl AsRef<[u8]>) -> bool {
        level_one_is_level_zero(source.as_ref())
    }

    #[test]
    fn plain_sources_are_the_same() {
        for source in [
            "",
            "x = 1\n",
            "#!/usr/bin/python3\n# -*- coding: utf-8 -*-\nx = 1\n",
            "# vim: set fileencoding=UTF-8 :\r\nx = 1\r\n",
            "\x0c# coding:latin_1\n",
            "# coding=iso-8859-1",
            "# coding: \t us-ascii;\n",
            "# -*- coding: utf-8-unix -*-\n",
            "# encodings and decoding\nencoding = None\n",
            "# coding : utf-7\n",
            "\n\n# coding: utf-7\n",
            "Assert = __Debug__ = __debug = 1\tif x else\x0c2\n",
        ] {
            assert!(is_same(source), "{source:?}");
        }
    }

    #[test]
    fn asserts_and_debug_are_seen_wherever_they_are() {
        for source in [
            "assert x",
            "x = 1;assert(x)\n",
            "# asserts\n",
            "aassert\n",
            "if __debug__: pass\n",
            "x = f'{__debug__}'\n",
            "_____debug__\n",
        ] {
            assert!(!is_same(source), "{source:?}");
        }
    }

    #[test]
    fn names_that_normalize_to_debug_are_not_ascii() {
        assert!(!is_same("if __ｄｅｂｕｇ__: pass\n"));
        assert!(!is_same("__debu\u{1d420}__"));
        assert!(!is_same("\u{feff}x = 1\n"));
        assert!(!is_same(b"# coding: latin-1\nx = '\xe9'\n"));
    }

    #[test]
    fn other_encodings_are_refused_in_both_first_lines() {
        for source in [
            "# coding: utf-7\n+AGEAcwBz-ert x\n",
            "#!/usr/bin/python3\n# coding: utf-7\n",
            "\x0c\t # coding: utf-7\n",
            "\x0c\n\x0c# coding: utf-7\n",
            "\r\n# coding: utf-7\r\n",
            "\r# coding: utf-7\r",
            "# x\r\r# coding: utf-7\r",
            "# decoding coding: utf-7\n",
            "# coding coding:utf-7\n",
            "# codingcoding:utf-7\n",
            "# vim:fileencoding: \n# coding:utf-7\n",
            "# coding: utf-8 coding: utf-7\n",
            "# CODING coding=rot13\n",
            "# coding: raw_unicode_escape\n",
            "# coding: utf-8.foo\n",
            "# coding: utf-8-sig\n",
            "# coding: utf_16\n",
            "# coding: cp037\n",
            "# coding: \x0cutf-7\n",
            "# coding:\n",
            "# coding:",
            "x(coding=1)\n",
        ] {
            assert!(!is_same(source), "{source:?}");
        }
    }

    #[test]
    fn control_characters_are_refused() {
        assert!(!is_same("x = 1\0\n"));
        assert!(!is_same("x = 1\x1a\n"));
        assert!(!is_same("x = 1\x0b\n"));
        assert!(!is_same("x = 1\x7f\n"));
    }
}
