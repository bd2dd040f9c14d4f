//! Files beyond a bound, on failing devices and with damage.

use std::fmt::Write as _;
use std::io::{self, Read};

use super::{
    Fault, Format, InputFault, RECORD_BYTES_MAX, VALUE_BYTES_MAX, collection, fixtures, read,
    records,
};

#[test]
fn bounds_on_size_and_nesting_hold() {
    let with = |value: &str| {
        collection(&format!(
            "{{\"type\":\"Feature\",\"id\":\"a\",\"properties\":{{\"a\":{value}}}}}"
        ))
    };
    let fault = |text: String| records(text, Format::GeoJson).remove(0).unwrap_err().fault;
    let long = format!("\"{}\"", "x".repeat(VALUE_BYTES_MAX - 1));
    assert!(
        matches!(fault(with(&long)), Fault::Content(InputFault::LongValue { bytes, .. }) if bytes == VALUE_BYTES_MAX + 1)
    );
    for levels in [17, 90, 150, 1_000_000] {
        let nested = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let fault = fault(with(&nested));
        assert!(
            matches!(
                fault,
                Fault::TooDeep | Fault::Content(InputFault::Nesting { .. })
            ),
            "{levels}: {fault}"
        );
    }
    let objects = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert_eq!(fault(with(&objects)), Fault::TooDeep);
    let unclosed = with(&"[".repeat(1_000_000));
    assert!(matches!(fault(unclosed), Fault::Truncated { .. }));
    let deep = format!(
        "{}{}",
        "{\"type\":\"GeometryCollection\",\"geometries\":[".repeat(20),
        "]}".repeat(20)
    );
    assert_eq!(
        fault(collection(&format!(
            "{{\"type\":\"Feature\",\"geometry\":{deep}}}"
        ))),
        Fault::TooDeep
    );
    let id = "x".repeat(5000);
    let text = collection(&format!("{{\"type\":\"Feature\",\"id\":\"{id}\"}}"));
    assert!(matches!(
        fault(text),
        Fault::Content(InputFault::LongId { bytes: 5000 })
    ));
}

#[test]
fn a_record_beyond_the_limit_is_refused_without_being_held_and_the_next_is_read() {
    struct Spaces(usize);
    impl Read for Spaces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.0);
            buffer[..count].fill(b' ');
            self.0 -= count;
            Ok(count)
        }
    }
    let (start, end) = (
        "{\"type\":\"FeatureCollection\",\"features\":[{\"a\":",
        "1},{\"type\":\"Feature\",\"id\":\"b\"}]}",
    );
    let reader = start
        .as_bytes()
        .chain(Spaces(RECORD_BYTES_MAX))
        .chain(end.as_bytes());
    let records: Vec<_> = read(reader, Format::GeoJson).collect();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].as_ref().unwrap_err().fault, Fault::TooLong);
    assert!(records[1].is_ok());
}

#[test]
fn a_device_that_fails_is_an_error_of_the_file() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("unplugged"))
        }
    }
    for format in Format::ALL {
        let start = if format == Format::GeoJson {
            "{\"type\":\"FeatureCollection\",\"features\":[{"
        } else {
            ""
        };
        let records: Vec<_> = read(start.as_bytes().chain(Broken), format).collect();
        assert_eq!(records.len(), 1);
        let error = records[0].as_ref().unwrap_err();
        assert!(
            error.fatal && error.to_string().contains("unplugged"),
            "{error}"
        );
    }
}

#[test]
fn any_damage_to_a_file_is_read_or_named() {
    let path = fixtures("valid")
        .into_iter()
        .find(|path| path.ends_with("all-types.geojson"))
        .unwrap();
    let bytes = std::fs::read(path).unwrap();
    let check = |bytes: &[u8]| {
        for format in Format::ALL {
            for record in read(bytes, format) {
                if let Err(error) = record {
                    let mut text = String::new();
                    write!(text, "{error}; {}", error.hint()).unwrap();
                    assert!(text.len() > 20);
                }
            }
        }
    };
    for at in 0..bytes.len() {
        check(&bytes[..at]);
        for byte in [b"\"{],"[at % 4], b"\\-\xFF\x1E9"[at % 5]] {
            let mut damaged = bytes.clone();
            damaged[at] = byte;
            check(&damaged);
        }
    }
}
