//! `/actors`: the supervised actors.

use actix_web::web;
use callboard_protocol::ActorList;

use crate::{
    edge::State,
    extract::{Allowed, permit},
};

/// Every supervised actor: its state, its restarts, its last failure.
#[utoipa::path(get, path = "/actors", tag = "actors",
    responses((status = 200, body = ActorList)))]
pub(crate) async fn list_actors(
    _: Allowed<permit::ProvidersRead>,
    state: State,
) -> web::Json<ActorList> {
    web::Json(state.system.actors())
}
