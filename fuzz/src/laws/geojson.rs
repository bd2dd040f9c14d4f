use mapweave::formats::{ExportFilter, Format, InputFeature, export, read};
use mapweave::model::{ImportOptions, ImportReport, MapView, Sid, upsert};
use yrs::{Doc, Transact};

use crate::saw;

/// Any bytes are read as any format without harm. What is read can be imported, and importing it again writes nothing;
/// it can be exported in every format, the same every time; and importing GeoJSON that was exported writes nothing.
///
/// # Panics
/// Where that is not so.
pub fn geojson_import(data: &[u8]) {
    for format in Format::ALL {
        let mut features = Vec::new();
        for record in read(data, format).take(RECORDS_MAX) {
            match record {
                Ok(feature) => features.push(feature),
                Err(error) => saw(error.to_string().split('"').next().map(letters)),
            }
        }
        saw((format.name(), features.len()));
        if !features.is_empty() {
            import(&features, format);
        }
    }
}

/// Records that are looked at.
const RECORDS_MAX: usize = 200;

fn import(features: &[InputFeature], format: Format) {
    let doc = Doc::with_client_id(1);
    let first = write(&doc, features);
    saw((first.created, first.skipped_malformed));
    assert_eq!(first.created, features.len() as u64, "features are lost");
    assert_eq!(
        write(&doc, features).transactions,
        0,
        "a second import writes"
    );

    for other in Format::ALL.into_iter().filter(|other| other.is_writable()) {
        text(&doc, other);
    }
    if !matches!(format, Format::GeoJson | Format::GeoJsonSeq) {
        return;
    }
    let exported = text(&doc, format);
    let back: Vec<_> = read(&exported[..], format).collect();
    let mut again = Vec::new();
    for record in back {
        match record {
            Ok(feature) => again.push(feature),
            Err(error) => panic!("what was exported cannot be read: {error}"),
        }
    }
    assert_eq!(
        again.len(),
        features.len(),
        "features are lost on the way out"
    );
    let report = write(&doc, &again);
    assert_eq!(
        report.transactions, 0,
        "importing an export writes: {report:?}"
    );
    assert_eq!(text(&doc, format), exported, "exports differ");
}

#[allow(clippy::expect_used)]
fn write(doc: &Doc, features: &[InputFeature]) -> ImportReport {
    let options = ImportOptions {
        layer: None,
        sid: Sid::from_random(7),
        who: None,
        now_s: 1_700_000_000,
        seed: 1,
        restore: false,
    };
    upsert(doc, features.iter().cloned(), &options, &mut |_| {}).expect("a map to write to")
}

#[allow(clippy::expect_used)]
fn text(doc: &Doc, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    let view = MapView::new(&doc.transact());
    export(&view, format, &ExportFilter::default(), &mut out).expect("memory takes everything");
    out
}

/// A message without its numbers, to tell kinds of faults apart.
fn letters(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}
