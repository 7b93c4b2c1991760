//! The server's own extension of the vendors' requests: the object `callboard`, which their clients
//! send through `extra_body` (Python) or as it stands (JavaScript).

use callboard_actors::{CacheMode, CacheOrder, Priority};

use super::{
    fault::Fault,
    fields::{Fields, Place, boolean, integer, mismatch, name, number, word},
    tree::Node,
};

/// How the gateway is to treat a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CallOptions {
    /// What is done when a stream is cut after its first token.
    pub(crate) on_cut: OnCut,
    /// Whether somebody waits for the answer.
    pub(crate) priority: Priority,
    /// Whether it may come from the cache.
    pub(crate) cache: CacheOrder,
}

/// What is done when a stream is cut after its first token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnCut {
    /// The client gets the error in the stream.
    #[default]
    Error,
    /// The next target starts the answer again, where the wire permits.
    Restart,
}

impl CallOptions {
    /// Reads the object.
    pub(super) fn read(node: Node<'_>, place: Place<'_>) -> Result<Self, Fault> {
        let mut fields = Fields::of(node, place)?;
        let words = [("error", OnCut::Error), ("restart", OnCut::Restart)];
        let on_cut = fields.get("on_cut", |node, place| word(node, place, &words))?;
        let words = [("interactive", Priority::Interactive), ("batch", Priority::Batch)];
        let priority = fields.get("priority", |node, place| word(node, place, &words))?;
        let cache = fields.get("cache", read_cache)?;
        fields.end()?;
        Ok(Self {
            on_cut: on_cut.unwrap_or_default(),
            priority: priority.unwrap_or_default(),
            cache: cache.unwrap_or_default(),
        })
    }
}

fn read_cache(node: Node<'_>, place: Place<'_>) -> Result<CacheOrder, Fault> {
    let mut fields = Fields::of(node, place)?;
    let words = [("off", CacheMode::Off), ("use", CacheMode::Use), ("refresh", CacheMode::Refresh)];
    let mode = fields.get("mode", |node, place| word(node, place, &words))?;
    let lifetime_s = fields.get("lifetime_s", |node, place| {
        let wrong = mismatch(&node, place, "1 second to 30 days");
        let seconds = u64::try_from(integer(node, place)?).ok();
        seconds.filter(|seconds| CacheOrder::allows_lifetime(*seconds)).ok_or(wrong)
    })?;
    let shared = fields.get("shared", boolean)?;
    // Less than half is not similar; the rest of a double is beyond any embedder.
    let similar = fields.get("similar", |node, place| number(node, place, 0.5..=1.0))?;
    let similar = similar.map(|cosine| cosine as f32);
    let tag = fields.get("tag", |node, place| {
        let wrong = mismatch(&node, place, "1 to 64 letters, digits, `.`, `_`, `-`");
        Some(name(node, place)?).filter(|tag| CacheOrder::allows_tag(tag)).ok_or(wrong)
    })?;
    fields.end()?;
    Ok(CacheOrder { mode, lifetime_s, shared: shared.unwrap_or_default(), tag, similar })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<CallOptions, Fault> {
        let place = Place::Field(&Place::Root, "callboard");
        CallOptions::read(Node::parse(json.as_bytes()).unwrap(), place)
    }

    #[test]
    fn options_are_read_and_checked() {
        assert_eq!(read("{}").unwrap(), CallOptions::default());
        let restart = read(r#"{"on_cut":"restart"}"#).unwrap();
        assert_eq!(restart, CallOptions { on_cut: OnCut::Restart, ..CallOptions::default() });
        let batch = read(r#"{"priority":"batch"}"#).unwrap();
        assert_eq!(batch, CallOptions { priority: Priority::Batch, ..CallOptions::default() });
        let cache =
            r#"{"cache":{"mode":"use","lifetime_s":60,"shared":true,"tag":"a.b","similar":0.75}}"#;
        let order = CacheOrder {
            mode: Some(CacheMode::Use),
            lifetime_s: Some(60),
            shared: true,
            tag: Some("a.b".to_owned()),
            similar: Some(0.75),
        };
        assert_eq!(read(cache).unwrap().cache, order);
        for (field, value) in
            [("mode", "1"), ("lifetime_s", "0"), ("tag", "\"a:b\""), ("similar", "0.4"), ("x", "1")]
        {
            let fault = read(&format!("{{\"cache\":{{\"{field}\":{value}}}}}")).unwrap_err();
            assert_eq!(fault.param.unwrap(), format!("callboard.cache.{field}"));
        }
        assert_eq!(read(r#"{"on_cut":"x"}"#).unwrap_err().param.unwrap(), "callboard.on_cut");
        assert_eq!(read(r#"{"kache":1}"#).unwrap_err().param.unwrap(), "callboard.kache");
        assert!(read("3").is_err());
    }
}
