//! Texts of dBASE tables in the code pages that they come in.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// How the texts of a table are to be read.
#[derive(Clone, Copy, Debug)]
pub(super) enum CodePage {
    /// Nothing says so: UTF-8 where that is what the bytes are, else Windows-1252.
    Unknown,
    /// A code page of the web.
    Web(&'static Encoding),
    /// A code page of DOS: its upper half.
    Dos(&'static str),
}

impl CodePage {
    /// What the content of a `.cpg` file names.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let name = name
            .trim()
            .trim_start_matches('\u{FEFF}')
            .to_ascii_lowercase();
        if let Some(encoding) = Encoding::for_label(name.as_bytes()) {
            return Some(Self::Web(encoding));
        }
        let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
        match digits {
            "437" => Some(Self::Dos(CP437)),
            "850" => Some(Self::Dos(CP850)),
            "852" => Some(Self::Dos(CP852)),
            "65001" => Some(Self::Web(UTF_8)),
            "936" => Some(Self::Web(encoding_rs::GBK)),
            "932" => Some(Self::Web(encoding_rs::SHIFT_JIS)),
            "949" => Some(Self::Web(encoding_rs::EUC_KR)),
            "950" => Some(Self::Web(encoding_rs::BIG5)),
            "88591" => Some(Self::Web(WINDOWS_1252)),
            "88592" => Some(Self::Web(encoding_rs::ISO_8859_2)),
            digits => {
                let label = format!("windows-{digits}");
                Encoding::for_label(label.as_bytes()).map(Self::Web)
            }
        }
    }

    /// What the language driver in a table's header means.
    pub(super) fn from_driver(driver: u8) -> Self {
        let web =
            |label: &str| Encoding::for_label(label.as_bytes()).map_or(Self::Unknown, Self::Web);
        match driver {
            0x01 => Self::Dos(CP437),
            0x02 => Self::Dos(CP850),
            0x64 => Self::Dos(CP852),
            0x03 | 0x57..=0x59 => Self::Web(WINDOWS_1252),
            0x13 | 0x7B => web("shift_jis"),
            0x26 | 0x65 => web("ibm866"),
            0x4D | 0x7A => web("gbk"),
            0x4E | 0x79 => web("euc-kr"),
            0x4F | 0x78 => web("big5"),
            0x50 | 0x7C => web("windows-874"),
            0x7D => web("windows-1255"),
            0x7E => web("windows-1256"),
            0xC8 => web("windows-1250"),
            0xC9 => web("windows-1251"),
            0xCA => web("windows-1254"),
            0xCB => web("windows-1253"),
            0xCC => web("windows-1257"),
            _ => Self::Unknown,
        }
    }

    /// The text of the bytes; what a code page does not have becomes U+FFFD.
    pub(super) fn decode(self, bytes: &[u8]) -> String {
        match self {
            Self::Unknown => match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => Self::Web(WINDOWS_1252).decode(bytes),
            },
            Self::Web(encoding) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
            Self::Dos(upper) => bytes
                .iter()
                .map(|byte| match byte.checked_sub(0x80) {
                    None => char::from(*byte),
                    Some(at) => upper.chars().nth(usize::from(at)).unwrap_or('\u{FFFD}'),
                })
                .collect(),
        }
    }
}

const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{A0}";
const CP850: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐\
    └┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{AD}±‗¾¶§÷¸°¨·¹³²■\u{A0}";
const CP852: &str = "ÇüéâäůćçłëŐőîŹÄĆÉĹĺôöĽľŚśÖÜŤťŁ×čáíóúĄąŽžĘę¬źČş«»░▒▓│┤ÁÂĚŞ╣║╗╝Żż┐\
    └┴┬├─┼Ăă╚╔╩╦╠═╬¤đĐĎËďŇÍÎě┘┌█▄ŢŮ▀ÓßÔŃńňŠšŔÚŕŰýÝţ´\u{AD}˝˛ˇ˘§÷¸°¨˙űŘř■\u{A0}";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn texts_are_read_in_the_code_page_that_is_named() {
        let read = |name: &str, bytes: &[u8]| CodePage::from_name(name).unwrap().decode(bytes);
        assert_eq!(read("UTF-8", "Zürich".as_bytes()), "Zürich");
        assert_eq!(read("65001\r\n", "Zürich".as_bytes()), "Zürich");
        assert_eq!(read("ISO-8859-1", b"Z\xFCrich"), "Zürich");
        assert_eq!(read("ANSI 1252", b"\x80"), "€");
        assert_eq!(read("1251", b"\xCC"), "М");
        assert_eq!(read("OEM 850", b"Z\x81rich"), "Zürich");
        assert_eq!(read("437", b"\xE0"), "α");
        assert!(CodePage::from_name("nonsense").is_none());
        assert_eq!(CodePage::from_driver(0x02).decode(b"\x81"), "ü");
        assert_eq!(CodePage::Unknown.decode("ü".as_bytes()), "ü");
        assert_eq!(CodePage::Unknown.decode(b"\xFC"), "ü");
        for table in [CP437, CP850, CP852] {
            assert_eq!(table.chars().count(), 128);
        }
    }
}
