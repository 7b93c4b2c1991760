use std::io::Write as _;

use callboard_protocol::Timestamp;
use proptest::prelude::*;

use super::*;

fn texts(records: &[Pushed]) -> Vec<(&str, &str)> {
    records.iter().map(|record| (record.source.as_str(), record.text.as_str())).collect()
}

#[test]
fn bulk_takes_documents_and_refuses_what_is_none() {
    let body = br#"{"create":{"_index":"web"}}
{"@timestamp":"2026-11-21T03:14:15Z","message":"up"}
{"index":{"_id":"7"}}
{"message":"again"}
{"create":{}}
not json
{"delete":{"_index":"web","_id":"7"}}
{"create":{"_index":"web"}}
"#;
    let items = elastic::bulk(body, Some("of-path")).unwrap();
    let told: Vec<_> = items.iter().map(|item| (&*item.index, item.record.is_ok())).collect();
    assert_eq!(
        told,
        [("web", true), ("of-path", true), ("of-path", false), ("web", false), ("web", false)]
    );
    assert_eq!(items[1].id.as_deref(), Some("7"));
    assert_eq!(items[1].record.as_ref().unwrap().text, r#"{"message":"again"}"#);
    assert!(elastic::bulk(b"nonsense\n", None).is_err());
    assert!(elastic::bulk(b"{}\n", None).is_err());
    assert!(elastic::bulk(b"{\"drop\":{}}\n", None).is_err());
    assert!(elastic::bulk(b"\n\n", None).unwrap().is_empty());
}

const LOKI: &str = r#"{"streams":[{"stream":{"job":"api","pod":"api-1"},"values":[
    ["1795230855926000000","disk is full"],
    ["1795230855926000000","2026-11-21 03:14:15 ERROR own time",{"trace":"abc"}],
    ["1795230855926000000","{\"level\":\"warn\"}"]]}]}"#;

#[test]
fn loki_lines_keep_their_times_and_their_labels() {
    let records = loki::from_json(LOKI.as_bytes()).unwrap();
    assert_eq!(
        texts(&records),
        [
            ("api", r#"2026-11-21T03:14:15.926Z disk is full {"pod":"api-1"}"#),
            ("api", r#"2026-11-21 03:14:15 ERROR own time {"pod":"api-1","trace":"abc"}"#),
            (
                "api",
                r#"{"level":"warn","timestamp":"2026-11-21T03:14:15.926Z","labels":{"pod":"api-1"}}"#
            ),
        ]
    );
    assert!(loki::from_json(br#"{"streams":[{"stream":{},"values":[["x","y"]]}]}"#).is_err());
    assert!(loki::from_json(b"{}").is_err());
}

#[test]
fn loki_in_protocol_buffers_reads_the_same() {
    // Written by hand after logproto: streams = 1 { labels = 1, entries = 2 { timestamp = 1
    // { seconds = 1, nanos = 2 }, line = 2 } }.
    let labels = br#"{job="api", pod="a\"1"}"#;
    let mut entry = vec![0x0a, 12, 0x08];
    entry.extend_from_slice(&varint(1_795_230_855));
    entry.push(0x10);
    entry.extend_from_slice(&varint(926_000_000));
    entry.extend_from_slice(&[0x12, 12]);
    entry.extend_from_slice(b"disk is full");
    let mut stream = vec![0x0a, u8::try_from(labels.len()).unwrap()];
    stream.extend_from_slice(labels);
    stream.extend_from_slice(&[0x12, u8::try_from(entry.len()).unwrap()]);
    stream.extend_from_slice(&entry);
    let mut push = vec![0x0a, u8::try_from(stream.len()).unwrap()];
    push.extend_from_slice(&stream);
    let packed = snap::raw::Encoder::new().compress_vec(&push).unwrap();
    let records = loki::from_protobuf(&packed, 1 << 20).unwrap();
    let line = r#"2026-11-21T03:14:15.926Z disk is full {"pod":"a\"1"}"#;
    assert_eq!(texts(&records), [("api", line)]);
    assert!(loki::from_protobuf(&packed, 10).is_err());
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

#[test]
fn otlp_records_become_lines_of_json() {
    let body = br#"{"resourceLogs":[{"resource":{"attributes":[
        {"key":"service.name","value":{"stringValue":"pay"}}]},"scopeLogs":[{"scope":{},"logRecords":[
        {"timeUnixNano":"1795230855926000000","severityNumber":17,"severityText":"Error",
         "body":{"stringValue":"charge failed"},"traceId":"5b8e","spanId":"",
         "attributes":[{"key":"amount","value":{"intValue":"12"}},
            {"key":"http","value":{"kvlistValue":{"values":[{"key":"status","value":{"intValue":502}}]}}},
            {"key":"message","value":{"stringValue":"not this one"}}]},
        {"observedTimeUnixNano":1795230855926000000,"severityText":"WARN",
         "body":{"kvlistValue":{"values":[{"key":"msg","value":{"stringValue":"nested"}}]}}}]}]}]}"#;
    let records = otlp::from_json(body).unwrap();
    assert_eq!(
        texts(&records),
        [
            (
                "pay",
                r#"{"timestamp":"2026-11-21T03:14:15.926Z","level":"error","message":"charge failed","trace_id":"5b8e","amount":12,"http.status":502,"service.name":"pay"}"#
            ),
            (
                "pay",
                r#"{"timestamp":"2026-11-21T03:14:15.926Z","level":"WARN","message":"nested","body.msg":"nested","service.name":"pay"}"#
            ),
        ]
    );
    assert!(otlp::from_json(b"7").is_err());
    assert!(otlp::from_json(b"{}").unwrap().is_empty());
}

#[test]
fn otlp_in_protocol_buffers_reads_the_same() {
    // resource_logs = 1 { resource = 1 { attributes = 1 { key = 1, value = 2 { string = 1 } } },
    // scope_logs = 2 { log_records = 2 { time = 1, severity = 2, body = 5, trace = 9 } } }
    let text = |text: &str| message(1, text.as_bytes());
    let attribute = [text("service.name"), message(2, &text("pay"))].concat();
    let resource = message(1, &message(1, &attribute));
    let time = [vec![0x09], 1_795_230_855_926_000_000_u64.to_le_bytes().to_vec()].concat();
    let trace = message(9, &[0x5b, 0x8e]);
    let record = [time, vec![0x10, 17], message(5, &text("charge failed")), trace].concat();
    let request = message(1, &[resource, message(2, &message(2, &record))].concat());
    let line = r#"{"timestamp":"2026-11-21T03:14:15.926Z","level":"error","message":"charge failed","trace_id":"5b8e","service.name":"pay"}"#;
    assert_eq!(texts(&otlp::from_protobuf(&request).unwrap()), [("pay", line)]);
    assert!(otlp::from_protobuf(b"nonsense").is_err());
    assert_eq!(otlp::status_protobuf("no"), [0x08, 3, 0x12, 2, b'n', b'o']);
}

/// A field of bytes.
fn message(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [vec![tag << 3 | 2], varint(bytes.len() as u64), bytes.to_vec()].concat()
}

#[test]
fn gelf_comes_plain_packed_and_in_pieces() {
    let json = br#"{"version":"1.1","host":"web-1","short_message":"disk full","level":3}"#;
    let plain = gelf::record(json).unwrap();
    assert_eq!(plain.source, "web-1");
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(json).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(json).unwrap();
    for packed in [zlib.finish().unwrap(), gzip.finish().unwrap()] {
        assert_eq!(gelf::record(&packed).unwrap(), plain);
    }
    let mut chunks = gelf::Chunks::default();
    let now = Timestamp::from_millis(0);
    let piece =
        |number: u8, part: &[u8]| [&[0x1e, 0x0f, 1, 2, 3, 4, 5, 6, 7, 8, number, 3], part].concat();
    assert_eq!(chunks.take(&piece(2, &json[40..]), now).unwrap(), None);
    assert_eq!(chunks.take(&piece(0, &json[..20]), now).unwrap(), None);
    assert_eq!(chunks.take(&piece(0, &json[..20]), now).unwrap(), None);
    let whole = chunks.take(&piece(1, &json[20..40]), now).unwrap().unwrap();
    assert_eq!(gelf::record(&whole).unwrap(), plain);
    assert!(chunks.take(&[0x1e, 0x0f, 1], now).is_err());
    assert!(chunks.take(&piece(3, b""), now).is_err());
}

#[test]
fn gelf_bombs_and_half_messages_are_refused() {
    let mut bomb = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 64 << 20]).unwrap();
    let error = gelf::record(&bomb.finish().unwrap()).unwrap_err();
    assert!(error.to_string().contains("unpacks to more"), "{error}");
    for bad in [&b"{}"[..], b"[1]", b"{\"short_message\":7}", b"\x1f\x8bxx", b""] {
        assert!(gelf::record(bad).is_err());
    }
    let mut chunks = gelf::Chunks::default();
    let now = Timestamp::from_millis(0);
    for id in 0..100_000_u64 {
        let header = [&[0x1e, 0x0f][..], &id.to_le_bytes(), &[0, 2], &[b'x'; 100]].concat();
        chunks.take(&header, now).unwrap();
    }
}

#[test]
fn journal_entries_are_read_with_text_and_with_bytes() {
    let mut body = b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795230855926000\nPRIORITY=3\n\
        _HOSTNAME=db-1\n_SYSTEMD_UNIT=pg.service\nSYSLOG_IDENTIFIER=postgres\n_PID=7\n\
        REQUEST_ID=r-9\nMESSAGE\n"
        .to_vec();
    body.extend_from_slice(&8_u64.to_le_bytes());
    body.extend_from_slice(b"two\nmore\n\n__CURSOR=s=2\n_HOSTNAME=db-1\n\nMESSAGE=last\n\n");
    let records = journal::entries(&body).unwrap();
    let line = r#"{"timestamp":"2026-11-21T03:14:15.926Z","level":"error","host":"db-1","unit":"pg.service","ident":"postgres","pid":"7","message":"two\nmore","request_id":"r-9"}"#;
    assert_eq!(texts(&records), [("db-1", line), ("journal", r#"{"message":"last"}"#)]);
    assert!(journal::entries(&body[..body.len() - 4]).is_err());
    assert!(journal::entries(b"lower=case\n\n").is_err());
    assert!(journal::entries(b"MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xffx\n\n").is_err());
}

#[test]
fn syslog_messages_name_their_hosts() {
    for (message, host) in [
        ("<34>Oct 11 22:14:15 mymachine su: failed", "mymachine"),
        ("<34>Oct  1 22:14:15 10.0.0.7 su: failed", "10.0.0.7"),
        ("<165>1 2026-11-21T03:14:15Z web-1 app 7 ID1 - up", "web-1"),
        ("<13>2026-11-21T03:14:15.9+00:00 web-2 ada: hello", "web-2"),
        ("<165>1 - - app 7 ID1 - up", "syslog"),
        ("no priority", "syslog"),
        ("<34>just text", "syslog"),
    ] {
        assert_eq!(syslog::record(message.as_bytes()).unwrap().source, host, "{message}");
    }
    assert_eq!(syslog::record(b" \n"), None);
}

#[test]
fn syslog_streams_are_cut_by_length_or_by_line() {
    let stream =
        b"<34>Oct 11 22:14:15 a b: one\n28 <34>Oct 11 22:14:15 a b: x\ny<34>last\n2026 is text\n";
    let expected = [
        "<34>Oct 11 22:14:15 a b: one",
        "<34>Oct 11 22:14:15 a b: x\ny",
        "<34>last",
        "2026 is text",
    ];
    for step in 1..stream.len() {
        let mut frames = syslog::Frames::default();
        let mut records = Vec::new();
        stream.chunks(step).for_each(|bytes| records.extend(frames.take(bytes)));
        records.extend(frames.finish());
        let texts: Vec<&str> = records.iter().map(|record| record.text.as_str()).collect();
        assert_eq!(texts, expected, "in steps of {step}");
    }
}

#[test]
fn a_syslog_message_without_end_is_cut_and_the_next_is_whole() {
    let mut frames = syslog::Frames::default();
    let mut records = Vec::new();
    for _ in 0..200 {
        records.extend(frames.take(&[b'x'; 1_000]));
    }
    records.extend(frames.take(b"\n<34>next\n"));
    records
        .extend(frames.take(format!("90000 <34>{}<34>counted\n", "y".repeat(89_996)).as_bytes()));
    let lengths: Vec<usize> = records.iter().map(|record| record.text.len()).collect();
    assert_eq!(lengths, [65_536, 8, 65_536, 11]);
}

#[test]
fn names_are_bounded_and_shown_as_one_line() {
    assert_eq!(name(" web\n1 "), "web1");
    assert_eq!(name(&"ä".repeat(300)).len(), 200);
    assert_eq!(texts(&lines("a", b"one\r\n\n two\n")), [("a", "one"), ("a", " two")]);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
    }

    #[test]
    fn nearly_right_text_is_read_or_refused(
        at in 0_usize..2_000, byte in any::<u8>(), which in 0_usize..4,
    ) {
        let seeds: [&[u8]; 4] = [
            LOKI.as_bytes(),
            br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}"#,
            b"{\"create\":{}}\n{\"message\":\"x\"}\n",
            b"__REALTIME_TIMESTAMP=1\nMESSAGE\n\x01\0\0\0\0\0\0\0x\n\n",
        ];
        let mut bytes = seeds[which].to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        read_all(&bytes);
    }
}

fn read_all(bytes: &[u8]) {
    drop(elastic::bulk(bytes, None));
    drop(loki::from_json(bytes));
    drop(loki::from_protobuf(bytes, 1 << 16));
    drop(otlp::from_json(bytes));
    drop(otlp::from_protobuf(bytes));
    drop(gelf::record(bytes));
    drop(gelf::Chunks::default().take(bytes, Timestamp::from_millis(0)));
    drop(journal::entries(bytes));
    drop(syslog::record(bytes));
    drop(syslog::Frames::default().take(bytes));
    drop(lines("x", bytes));
}
