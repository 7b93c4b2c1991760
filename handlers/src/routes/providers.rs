//! `/providers`: the models' providers.

use actix_web::{HttpResponse, web};
use callboard_protocol::ProviderList;

use crate::{
    ApiError,
    audit::Trail,
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
    web::Json(state.system.providers())
}

/// Close a provider's circuit breaker and use its resting keys again.
#[utoipa::path(post, path = "/providers/{name}/reset", tag = "providers",
    params(("name" = String, Path)), responses((status = 204)))]
pub(crate) async fn reset_provider(
    caller: Allowed<permit::ProvidersManage>,
    (state, trail): (State, Trail),
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    state.system.reset_provider(&name)?;
    trail.note(&caller.user, "provider.reset", &name).await;
    Ok(HttpResponse::NoContent().finish())
}
