use futures_util::StreamExt;
use proptest::prelude::*;

use super::*;

/// A frame as a client sends it: masked.
fn frame(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![if fin { 0x80 | opcode } else { opcode }];
    match payload.len() {
        len @ 0..126 => bytes.push(0x80 | u8::try_from(len).unwrap()),
        len => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn decode_in(chunks: Vec<Vec<u8>>) -> Vec<Incoming> {
    let payload = stream::iter(chunks.into_iter().map(|chunk| Ok::<_, ()>(Bytes::from(chunk))));
    futures_util::FutureExt::now_or_never(Messages::new(payload, 1_000).collect()).unwrap()
}

fn decode(frames: &[Vec<u8>]) -> Vec<Incoming> {
    decode_in(vec![frames.concat()])
}

fn text_of(text: &str) -> Incoming {
    Incoming::Text(text.into())
}

#[test]
fn fragments_are_joined_and_control_frames_may_stand_between() {
    let messages = decode(&[
        frame(false, 1, "gr".as_bytes()),
        frame(true, 9, b"ping"),
        frame(false, 0, &"ü".as_bytes()[..1]),
        frame(true, 0, &"ü".as_bytes()[1..]),
        frame(true, 1, b"next"),
    ]);
    assert_eq!(
        messages,
        [Incoming::Ping(Bytes::from_static(b"ping")), text_of("grü"), text_of("next")]
    );
}

#[test]
fn every_violation_has_its_code_and_is_the_last_message() {
    let large = frame(true, 1, &[b'x'; 1_001]);
    let rsv = {
        let mut bytes = frame(true, 1, b"x");
        bytes[0] |= 0x40;
        bytes
    };
    let half = vec![b'x'; 600];
    for (frames, code) in [
        (vec![frame(true, 1, b"\xff\xfe")], 1007),
        (vec![frame(false, 1, b"\xc3"), frame(true, 0, b"x")], 1007),
        (vec![large], 1009),
        (vec![frame(false, 1, &half), frame(true, 0, &half)], 1009),
        (vec![rsv], 1002),
        (vec![frame(true, 3, b"")], 1002),
        (vec![frame(true, 0, b"nothing to continue")], 1002),
        (vec![frame(false, 1, b"a"), frame(true, 1, b"b")], 1002),
        (vec![frame(false, 9, b"")], 1002),
        (vec![frame(true, 9, &[0; 126])], 1002),
        (vec![frame(true, 8, &[0])], 1002),
        (vec![frame(true, 8, &1005u16.to_be_bytes())], 1002),
        (vec![frame(true, 8, &999u16.to_be_bytes())], 1002),
        (vec![vec![0x81, 0x01, b'x']], 1002),
    ] {
        let mut frames = frames;
        frames.push(frame(true, 1, b"after"));
        assert_eq!(decode(&frames), [Incoming::Violation(code)], "{frames:?}");
    }
}

#[test]
fn a_close_is_the_last_message() {
    let going = frame(true, 8, &1001u16.to_be_bytes());
    assert_eq!(decode(&[going, frame(true, 1, b"x")]), [Incoming::Close(Some(1001))]);
    assert_eq!(decode(&[frame(true, 8, b"")]), [Incoming::Close(None)]);
}

#[test]
fn binary_is_told_apart_also_in_fragments() {
    let messages =
        decode(&[frame(true, 2, b"\xff"), frame(false, 2, b"\xff"), frame(true, 0, b"")]);
    assert_eq!(messages, [Incoming::Binary, Incoming::Binary]);
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same_messages(cuts in prop::collection::vec(0usize..80, 0..8)) {
        let frames = [
            frame(true, 1, b"one"),
            frame(false, 1, "t\u{e4}".as_bytes()),
            frame(true, 0, b"wo"),
            frame(true, 10, b""),
            frame(true, 8, &1000u16.to_be_bytes()),
        ];
        let bytes = frames.concat();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % bytes.len()).collect();
        cuts.sort_unstable();
        let mut chunks = Vec::new();
        let mut from = 0;
        for cut in cuts {
            chunks.push(bytes[from..cut].to_vec());
            from = cut;
        }
        chunks.push(bytes[from..].to_vec());
        prop_assert_eq!(decode_in(chunks), decode(&frames));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_in(vec![bytes]);
    }
}

#[actix_web::test]
async fn a_panic_in_the_output_becomes_a_close_frame() {
    let output = stream::iter(0..3).map(|n| {
        assert!(n < 1, "as told");
        Ok::<_, actix_web::Error>(Bytes::from_static(b"frame"))
    });
    let sent: Vec<_> = Guarded::new(output).map(Result::unwrap).collect().await;
    assert_eq!(sent, [&b"frame"[..], INTERNAL_ERROR_CLOSE]);
}
