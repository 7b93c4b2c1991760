//! `/providers`: the models' providers.

use actix_web::web;
use callboard_protocol::ProviderList;

use crate::{
    edge::State,
    extract::{Allowed, permit},
};

/// The providers in the order of the fallback chain, with the state of each.
#[utoipa::path(get, path = "/providers", tag = "providers",
    responses((status = 200, body = ProviderList)))]
pub(crate) async fn list_providers(
    _: Allowed<permit::ProvidersRead>,
    state: State,
) -> web::Json<ProviderList> {
    web::Json(state.system.providers().await)
}
