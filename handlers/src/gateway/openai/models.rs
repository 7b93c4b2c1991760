//! The models, as `GET /v1/models` lists them and `GET /v1/models/{model}` shows one:
//! <https://platform.openai.com/docs/api-reference/models>.

use bytes::{Bytes, BytesMut};

use crate::gateway::write;

/// A model that can be asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model<'a> {
    /// The name by which it is asked for.
    pub(crate) id: &'a str,
    /// Since when there is one, in seconds since 1970.
    pub(crate) created: u64,
    /// Who answers for it.
    pub(crate) owned_by: &'a str,
}

/// The list.
pub(crate) fn list<'a>(models: impl IntoIterator<Item = Model<'a>>) -> Bytes {
    let mut out = BytesMut::with_capacity(1_024);
    write::raw(&mut out, "{\"object\":\"list\",\"data\":[");
    for (place, model) in models.into_iter().enumerate() {
        if place > 0 {
            write::raw(&mut out, ",");
        }
        put(&mut out, &model);
    }
    write::raw(&mut out, "]}");
    out.freeze()
}

/// One of them.
pub(crate) fn one(model: &Model<'_>) -> Bytes {
    let mut out = BytesMut::with_capacity(128);
    put(&mut out, model);
    out.freeze()
}

fn put(out: &mut BytesMut, model: &Model<'_>) {
    write::raw(out, "{\"id\":");
    write::string(out, model.id);
    write::raw(out, ",\"object\":\"model\",\"created\":");
    write::number(out, model.created);
    write::raw(out, ",\"owned_by\":");
    write::string(out, model.owned_by);
    write::raw(out, "}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_and_one_of_it() {
        let model = |id| Model { id, created: 5, owned_by: "callboard" };
        let one_json = r#"{"id":"a\"b","object":"model","created":5,"owned_by":"callboard"}"#;
        assert_eq!(one(&model("a\"b")), one_json);
        let second = r#"{"id":"c","object":"model","created":5,"owned_by":"callboard"}"#;
        let both = format!(r#"{{"object":"list","data":[{one_json},{second}]}}"#);
        assert_eq!(list([model("a\"b"), model("c")]), both);
        assert_eq!(list([]), r#"{"object":"list","data":[]}"#);
    }
}
