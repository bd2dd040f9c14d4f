//! Features over HTTP: what goes in comes out, merges with what others drew, and survives.

use serde_json::{Value, json};
use yrs::{Any, Map, WriteTxn};

use crate::harness::http::Response;
use crate::harness::wait::until_true;
use crate::harness::{Client, Content, Listener, Request, Server};

const GEOJSON: &str = "application/geo+json";
const PATCH: &str = "application/merge-patch+json";
const ALL: &str = "/api/v1/maps/m/features";

fn square() -> Value {
    json!({ "type": "Polygon", "coordinates": [[[8, 47], [8.1, 47], [8.1, 47.1], [8, 47.1], [8, 47]]] })
}

fn feature(geometry: Value, properties: Value) -> Value {
    json!({ "type": "Feature", "geometry": geometry, "properties": properties })
}

fn item(fid: &str) -> String {
    format!("{ALL}/{fid}")
}

fn with(method: &str, path: &str, media_type: &str, body: &Value) -> Request {
    Request::with_body(method, path, media_type, body.to_string())
}

fn fid(response: &Response) -> String {
    response.json()["mapweave"]["fid"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn created(server: &Server, feature: &Value) -> Response {
    let answer = server.send(with("POST", ALL, GEOJSON, feature)).await;
    assert_eq!(
        answer.status,
        201,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    answer
}

async fn got(server: &Server, path: &str) -> Value {
    let answer = server.send(Request::get(path)).await;
    assert_eq!(
        answer.status,
        200,
        "{path}: {}",
        String::from_utf8_lossy(&answer.body)
    );
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feature_is_made_read_changed_deleted_and_brought_back() {
    let mut server = Server::start().await;
    let made = created(
        &server,
        &feature(square(), json!({ "name": "Ried", "use": 3 })),
    )
    .await;
    let path = made.header("location").unwrap().to_owned();
    assert_eq!(path, item(&fid(&made)));
    let read = server.send(Request::get(&path)).await;
    assert_eq!(read.body, made.body);
    assert_eq!(read.header("content-type"), Some(GEOJSON));
    assert_eq!(read.json()["geometry"], square());
    let tag = read.header("etag").unwrap();
    let known = server
        .send(Request::get(&path).header("if-none-match", tag))
        .await;
    assert_eq!((known.status, known.body.len()), (304, 0));

    let patch = json!({ "properties": { "use": null, "owner": "Ann" } });
    let patched = server
        .send(with("PATCH", &path, PATCH, &patch).header("if-match", tag))
        .await;
    assert_eq!(patched.status, 200);
    assert_eq!(
        patched.json()["properties"],
        json!({ "name": "Ried", "owner": "Ann" })
    );
    assert_ne!(patched.header("etag"), Some(tag));

    let put = feature(
        json!({ "type": "Point", "coordinates": [8.5, 47.5, 400.25] }),
        json!({}),
    );
    let replaced = server.send(with("PUT", &path, GEOJSON, &put)).await;
    assert_eq!(replaced.status, 200);
    assert_eq!(
        (&replaced.json()["geometry"], &replaced.json()["properties"]),
        (&put["geometry"], &json!({}))
    );

    assert_eq!(server.send(Request::new("DELETE", &path)).await.status, 204);
    let gone = server.send(Request::get(&path)).await;
    assert_eq!(
        (gone.status, gone.problem().as_str()),
        (410, "deleted-feature")
    );
    let back = server
        .send(Request::new("POST", &format!("{path}/undelete")))
        .await;
    assert_eq!(back.json()["geometry"], put["geometry"]);
    server.kill().await;
    server.restart().await;
    assert_eq!(got(&server, &path).await, back.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_http_writes_people_see_at_once_and_the_other_way_round() {
    let server = Server::start().await;
    let ann = Client::join(&server, "m").await;
    let made = created(
        &server,
        &feature(
            json!({ "type": "Point", "coordinates": [8, 47] }),
            json!({ "kind": "well" }),
        ),
    )
    .await;
    let fid = fid(&made);
    until_true("the feature has arrived", || {
        ann.content().get(&fid).is_some()
    })
    .await;
    let later = Any::from(vec![Any::from(4_000_000_000_f64), Any::from("spring")]);
    ann.edit(|_, txn| {
        let props = txn.get_or_insert_map("prop");
        props.insert(txn, format!("{fid}/annAnn/kind"), later);
    });
    ann.stored().await;
    assert_eq!(
        got(&server, &item(&fid)).await["properties"]["kind"],
        "spring"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_an_older_version_is_merged_unless_strictness_is_preferred() {
    let server = Server::start().await;
    let made = created(
        &server,
        &feature(square(), json!({ "name": "Ried", "use": "corn" })),
    )
    .await;
    let path = item(&fid(&made));
    let old = made.header("etag").unwrap().to_owned();
    // One moves the first corner, another, who has the older version, the third, and renames it.
    let mut moved = made.json();
    for corner in [0, 4] {
        moved["geometry"]["coordinates"][0][corner] = json!([7.95, 46.95]);
    }
    let first = server
        .send(with("PUT", &path, GEOJSON, &moved).header("if-match", &old))
        .await;
    assert_eq!(first.status, 200);
    let mut other = made.json();
    other["geometry"]["coordinates"][0][2] = json!([8.2, 47.2]);
    other["properties"]["name"] = json!("Moos");
    let strict = with("PUT", &path, GEOJSON, &other)
        .header("if-match", &old)
        .header("prefer", "handling=strict");
    let refused = server.send(strict).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (412, "precondition")
    );
    let merged = server
        .send(with("PUT", &path, GEOJSON, &other).header("if-match", &old))
        .await;
    assert_eq!(
        merged.status,
        200,
        "{}",
        String::from_utf8_lossy(&merged.body)
    );
    let merged = merged.json();
    let ring = merged["geometry"]["coordinates"][0].as_array().unwrap();
    assert_eq!(
        (&ring[0], &ring[2]),
        (&json!([7.95, 46.95]), &json!([8.2, 47.2]))
    );
    assert_eq!(
        merged["properties"],
        json!({ "name": "Moos", "use": "corn" })
    );
    let unknown =
        with("PUT", &path, GEOJSON, &other).header("if-match", "\"1.000000000000000000000000\"");
    assert_eq!(server.send(unknown).await.status, 412);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_a_version_from_before_its_author_took_another_name_is_merged() {
    let server = Server::start().await;
    let ann = Client::join(&server, "m").await;
    let called = |name: &str, t: f64| Any::from(vec![Any::from(t), Any::from(""), Any::from(name)]);
    let record = vec![
        Any::from(1_000_f64),
        Any::from("annAnn"),
        Any::from(0_f64),
        Any::Null,
        Any::from("{\"name\":\"Ried\",\"use\":\"corn\"}"),
        Any::from(""),
    ];
    // The index follows from here on.
    created(&server, &feature(Value::Null, json!({}))).await;
    ann.edit(|_, txn| {
        let feats = txn.get_or_insert_map("feat");
        feats.insert(txn, "annsField", Any::from(record));
    });
    ann.stored().await;
    got(&server, &item("annsField")).await;
    for name in ["Ann", "Ann B."] {
        ann.edit(|_, txn| {
            let who = txn.get_or_insert_map("who");
            who.insert(txn, "annAnn", called(name, 1_001.0));
        });
        ann.stored().await;
    }
    let path = item("annsField");
    let read = server.send(Request::get(&path)).await;
    assert_eq!(read.json()["mapweave"]["created"]["name"], "Ann B.");
    let old = read.header("etag").unwrap();
    for (property, value) in [("name", "Moos"), ("use", "beet")] {
        let patch = json!({ "properties": { property: value } });
        let patched = server
            .send(with("PATCH", &path, PATCH, &patch).header("if-match", old))
            .await;
        assert_eq!(patched.status, 200, "{property}");
    }
    assert_eq!(
        got(&server, &path).await["properties"],
        json!({ "name": "Moos", "use": "beet" })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_what_another_has_edited_since_leaves_it_for_people_to_decide() {
    let server = Server::start().await;
    let made = created(&server, &feature(square(), json!({ "name": "Ried" }))).await;
    let path = item(&fid(&made));
    let edited = server
        .send(with(
            "PATCH",
            &path,
            PATCH,
            &json!({ "properties": { "name": "Moos" } }),
        ))
        .await;
    assert_eq!(edited.status, 200);
    let old = made.header("etag").unwrap();
    let deleted = server
        .send(Request::new("DELETE", &path).header("if-match", old))
        .await;
    assert_eq!(
        (deleted.status, &deleted.json()["mapweave"]["state"]),
        (200, &json!("contested"))
    );
    let problems = got(&server, "/api/v1/maps/m/problems").await;
    assert_eq!(
        problems["features"][0]["report"],
        json!([{ "problem": ["contested deletion", fid(&made)] }])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_without_gaps_while_the_map_changes() {
    let server = Server::start().await;
    let points: Vec<Value> = (0..25)
        .map(|n| json!({ "type": "Feature", "id": format!("p{n:02}"), "geometry": { "type": "Point", "coordinates": [f64::from(n), 0.0] }, "properties": { "odd": n % 2 == 1, "n": n } }))
        .collect();
    let all = json!({ "type": "FeatureCollection", "features": points });
    let made = server.send(with("POST", ALL, GEOJSON, &all)).await;
    assert_eq!((made.status, &made.json()["created"]), (201, &json!(25)));
    let mut path = format!("{ALL}?limit=10");
    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    loop {
        let page = got(&server, &path).await;
        assert_eq!(page["numberMatched"], 25 - sizes.len());
        sizes.push(page["numberReturned"].as_u64().unwrap());
        seen.extend(
            page["features"]
                .as_array()
                .unwrap()
                .iter()
                .map(|f| f["id"].as_str().unwrap().to_owned()),
        );
        // One that was seen goes; what follows stays in its place.
        let gone = Request::new("DELETE", &item(&seen[sizes.len()]));
        assert_eq!(server.send(gone).await.status, 204);
        let links = page["links"].as_array().unwrap();
        match links.iter().find(|link| link["rel"] == "next") {
            Some(next) => path = next["href"].as_str().unwrap().to_owned(),
            None => break,
        }
    }
    let expected: Vec<String> = (0..25).map(|n| format!("p{n:02}")).collect();
    assert_eq!((seen, sizes), (expected, vec![10, 10, 5]));
}

#[tokio::test(flavor = "multi_thread")]
async fn features_are_found_by_place_layer_property_and_id() {
    let server = Server::start().await;
    let point = |id: Value, lon: f64, lat: f64, properties: Value| json!({ "type": "Feature", "id": id, "geometry": { "type": "Point", "coordinates": [lon, lat] }, "properties": properties });
    let all = json!({ "type": "FeatureCollection", "features": [
        point(json!("fiji"), 179.5, -17.0, json!({ "n": 1 })),
        point(json!("samoa"), -172.0, -13.8, json!({ "n": 2.0 })),
        point(json!("a b/ü"), 8.0, 47.0, json!({ "n": "2", "flag": true })),
        { "type": "Feature", "id": 7, "geometry": null, "properties": { "flag": false } },
    ]});
    assert_eq!(
        server.send(with("POST", ALL, GEOJSON, &all)).await.status,
        201
    );
    let found = async |query: &str| {
        let page = got(&server, &format!("{ALL}?{query}")).await;
        let mut ids: Vec<String> = page["features"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["id"].to_string())
            .collect();
        assert_eq!(page["numberMatched"], ids.len());
        ids.sort();
        ids
    };
    assert_eq!(
        found("bbox=170,-20,-170,-10").await,
        ["\"fiji\"", "\"samoa\""]
    );
    assert_eq!(found("bbox=8,47,9,48").await, ["\"a b/ü\""]);
    assert_eq!(found("prop.n=2").await, ["\"a b/ü\"", "\"samoa\""]);
    assert_eq!(found("prop.flag=true").await, ["\"a b/ü\""]);
    assert_eq!(found("id=7").await, ["7"]);
    assert_eq!(found("id=a%20b%2F%C3%BC").await, ["\"a b/ü\""]);
    let area = "%7B%22type%22%3A%22Polygon%22%2C%22coordinates%22%3A%5B%5B%5B7%2C46%5D%2C%5B9%2C46%5D%2C%5B9%2C48%5D%2C%5B7%2C46%5D%5D%5D%7D";
    assert_eq!(found(&format!("intersects={area}")).await, ["\"a b/ü\""]);
    let near = got(&server, &format!("{ALL}?near=-175,-15&limit=2")).await;
    let order: Vec<&str> = near["features"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["id"].as_str().unwrap())
        .collect();
    assert_eq!(order, ["samoa", "fiji"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_feature_of_many_is_named_and_the_others_are_made() {
    let server = Server::start().await;
    let all = json!({ "type": "FeatureCollection", "features": [
        { "type": "Feature", "id": "a", "geometry": null, "properties": {} },
        { "type": "Feature", "id": "b", "geometry": { "type": "Point", "coordinates": ["x"] }, "properties": {} },
    ]});
    let strict = server
        .send(with("POST", ALL, GEOJSON, &all).header("prefer", "handling=strict"))
        .await;
    assert_eq!((strict.status, &strict.json()["created"]), (422, &json!(0)));
    let lenient = server.send(with("POST", ALL, GEOJSON, &all)).await;
    let results = lenient.json();
    assert_eq!(
        (lenient.status, &results["created"], &results["failed"]),
        (200, &json!(1), &json!(1))
    );
    assert_eq!(results["results"][1]["problem"]["status"], 422);
    let again = server
        .send(with("POST", ALL, GEOJSON, &all["features"][0]))
        .await;
    assert_eq!(
        (again.status, again.problem().as_str()),
        (409, "feature-exists")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_for_features_each_get_their_own_answer() {
    let server = Server::start().await;
    created(
        &server,
        &json!({ "type": "Feature", "id": "a", "geometry": null, "properties": {} }),
    )
    .await;
    let some = feature(Value::Null, json!({}));
    let cases = [
        (
            Request::get("/api/v1/maps/none/features"),
            404,
            "unknown-map",
        ),
        (Request::get(&item("none")), 404, "unknown-feature"),
        (
            Request::get(&format!("{ALL}?colour=red")),
            400,
            "bad-request",
        ),
        (
            Request::get(&format!("{ALL}?bbox=1,2,3")),
            400,
            "bad-request",
        ),
        (
            Request::get(&format!("{ALL}?layer=none")),
            400,
            "bad-request",
        ),
        (
            with("POST", ALL, "application/json", &some),
            415,
            "media-type",
        ),
        (with("POST", ALL, GEOJSON, &json!([1])), 422, "bad-feature"),
        (Request::post(ALL, GEOJSON, "{"), 400, "bad-feature"),
        (
            with("PUT", &item("bad.id"), GEOJSON, &some),
            400,
            "bad-feature-id",
        ),
        (
            with("PATCH", &item("none"), PATCH, &json!({})),
            404,
            "unknown-feature",
        ),
        (
            with("PATCH", &item("a"), PATCH, &json!({ "id": "b" })),
            400,
            "bad-request",
        ),
        (
            with("PATCH", &item("a"), GEOJSON, &json!({})),
            415,
            "media-type",
        ),
        (
            with(
                "PUT",
                &item("a"),
                GEOJSON,
                &json!({ "type": "Feature", "id": "b", "geometry": null, "properties": null }),
            ),
            400,
            "bad-request",
        ),
        (
            Request::new("DELETE", &item("none")),
            404,
            "unknown-feature",
        ),
    ];
    for (number, (request, status, problem)) in cases.into_iter().enumerate() {
        let answer = server.send(request).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (status, problem),
            "case {number}"
        );
    }
    let allowed = server
        .send(Request::new("OPTIONS", &item("anything")))
        .await;
    assert!(allowed.status == 200 && allowed.header("allow").unwrap().contains("PATCH"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_two_edits_broke_is_named_with_both_and_a_repair_is_offered() {
    let server = Server::start().await;
    let made = created(&server, &feature(square(), json!({}))).await;
    let fid = fid(&made);
    let ann = Client::join(&server, "m").await;
    let ben = Client::join(&server, "m").await;
    until_true("the feature has arrived", || {
        ann.content().get(&fid).is_some() && ben.content().get(&fid).is_some()
    })
    .await;
    break_ring(&ann, &ben, &fid).await;
    let problems = got(&server, &format!("/api/v1/maps/m/problems/{fid}")).await;
    let fault = &problems["geometry"][0];
    assert_eq!(
        (&fault["code"], &fault["severity"]),
        (&json!("self-crossing"), &json!("error"))
    );
    let mut names: Vec<&str> = fault["edits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edit| edit["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.contains(&"Ann") && names.contains(&"Ben"), "{fault}");
    assert!(fault["vertices"].as_array().unwrap().len() >= 2);
    assert!(problems["suggestion"]["geometry"].is_object());
    // Nobody has applied it.
    let now = got(&server, &item(&fid)).await;
    assert_eq!(now["geometry"]["coordinates"][0][0], json!([8.08, 47]));
}

/// Each moves a corner of the square, which alone leaves it valid; together its sides cross.
async fn break_ring(ann: &Client, ben: &Client, fid: &str) {
    for (client, sid, name, vertex, to) in [
        (ann, "annAnn", "Ann", "U000", [8.08, 47.0]),
        (ben, "benBen", "Ben", "U001", [8.02, 47.0]),
    ] {
        let numbers = std::iter::once(4_000_000_000.0).chain(to).map(Any::from);
        let moved: Vec<Any> = numbers.collect();
        let generation = made_generation(&client.update(), fid);
        client.edit(|_, txn| {
            let who = txn.get_or_insert_map("who");
            who.insert(
                txn,
                sid,
                vec![Any::from(1_f64), Any::from(name), Any::from(name)],
            );
            let vertices = txn.get_or_insert_map("vert");
            vertices.insert(txn, format!("{fid}/{sid}/{generation}/0.0.{vertex}"), moved);
        });
        client.stored().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_hears_of_a_ring_that_two_clients_broke_and_that_it_was_mended() {
    let server = Server::start().await;
    let made = created(&server, &feature(square(), json!({}))).await;
    let fid = fid(&made);
    let listener = Listener::open(&server, "m").await;
    let first = listener.event("problems", |_| true).await;
    assert_eq!(
        (&first.data["whole"], &first.data["features"], first.id),
        (&json!(true), &json!({}), None)
    );
    let (ann, ben) = (
        Client::join(&server, "m").await,
        Client::join(&server, "m").await,
    );
    break_ring(&ann, &ben, &fid).await;
    let broken = listener
        .event("problems", |data| data["features_with_problems"] == 1)
        .await;
    let mut alone = got(&server, &format!("/api/v1/maps/m/problems/{fid}")).await;
    alone.as_object_mut().unwrap().remove("suggestion");
    assert_eq!(broken.data["whole"], false);
    assert_eq!(broken.data["features"], json!({ &fid: alone }));
    let late = Listener::open(&server, "m").await;
    let whole = late.event("problems", |data| data["whole"] == true).await;
    assert_eq!(whole.data["features"], broken.data["features"]);

    let mended = with("PUT", &item(&fid), GEOJSON, &feature(square(), json!({})));
    assert_eq!(server.send(mended).await.status, 200);
    let solved = json!({ &fid: { "fid": fid, "report": [], "geometry": [] } });
    for listener in [&listener, &late] {
        let told = listener
            .event("problems", |data| data["features"] == solved)
            .await;
        assert_eq!(told.data["features_with_problems"], 0);
    }
}

/// The generation of a feature's base geometry, item 7 of its record.
fn made_generation(update: &[u8], fid: &str) -> String {
    let content = Content::of_update(update);
    let Some(Any::Array(record)) = content.get(fid) else {
        panic!("a record")
    };
    match record.get(6) {
        Some(Any::String(generation)) => generation.to_string(),
        _ => "0".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_key_is_carried_out_once_however_often_it_is_sent() {
    let mut server = Server::start().await;
    let one = feature(square(), json!({ "name": "Ried" }));
    let collection = json!({ "type": "FeatureCollection", "features": [one, one] });
    let empty = json!({ "type": "FeatureCollection", "features": [] });
    let nothing = server.send(with("POST", ALL, GEOJSON, &empty)).await;
    assert_eq!(
        (nothing.status, &nothing.json()["created"]),
        (200, &json!(0))
    );
    assert_eq!(
        server.send(Request::get("/api/v1/maps/m")).await.status,
        404
    );
    let keyed =
        |key: &str, body: &Value| with("POST", ALL, GEOJSON, body).header("idempotency-key", key);
    let mut made = Vec::new();
    for round in 0..3 {
        if round == 2 {
            server.kill().await;
            server.restart().await;
        }
        let answer = server.send(keyed("k1", &one)).await;
        assert_eq!(answer.status, 201);
        let many = server.send(keyed("k2", &collection)).await;
        assert_eq!(many.status, 201);
        made.push((fid(&answer), many.json()["results"].clone()));
        assert_eq!(got(&server, ALL).await["numberMatched"], 3, "round {round}");
    }
    assert!(made.iter().all(|round| *round == made[0]), "{made:?}");
    let other = server.send(keyed("k3", &one)).await;
    assert_ne!(fid(&other), made[0].0);
    assert_eq!(server.send(keyed(&"k".repeat(256), &one)).await.status, 400);
}
