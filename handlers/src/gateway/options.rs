//! The server's own extension of the vendors' requests: the object `callboard`, which their clients
//! send through `extra_body` (Python) or as it stands (JavaScript).

use callboard_actors::Priority;

use super::{
    fault::Fault,
    fields::{Fields, Place, word},
    tree::Node,
};

/// How the gateway is to treat a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallOptions {
    /// What is done when a stream is cut after its first token.
    pub(crate) on_cut: OnCut,
    /// Whether somebody waits for the answer.
    pub(crate) priority: Priority,
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
        fields.end()?;
        Ok(Self { on_cut: on_cut.unwrap_or_default(), priority: priority.unwrap_or_default() })
    }
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
        assert_eq!(read(r#"{"on_cut":"x"}"#).unwrap_err().param.unwrap(), "callboard.on_cut");
        assert_eq!(read(r#"{"kache":1}"#).unwrap_err().param.unwrap(), "callboard.kache");
        assert!(read("3").is_err());
    }
}
