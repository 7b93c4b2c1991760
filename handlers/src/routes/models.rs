//! `/models`: the names that programs and questions may use for models, and `/config/reload`.

use actix_web::{HttpResponse, web};
use callboard_actors::{ModelConfig, NameOrigin};
use callboard_protocol::{ClientError, ErrorCode, Reloaded};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ApiError,
    audit::Trail,
    edge::State,
    extract::{Allowed, permit},
};

/// A name for models.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelName {
    #[serde(flatten)]
    model: ModelConfig,
    /// `file` when it is configured, `api` when it was put here.
    origin: &'static str,
}

/// All names for models.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelNames {
    /// Those of the API first; they cover those of the configuration with the same name.
    items: Vec<ModelName>,
}

/// The names for models, and who answers to them.
#[utoipa::path(get, path = "/models", tag = "providers",
    responses((status = 200, body = ModelNames)))]
pub(crate) async fn list_model_names(
    _: Allowed<permit::ProvidersRead>,
    state: State,
) -> web::Json<ModelNames> {
    let origin_of = |origin| match origin {
        NameOrigin::File => "file",
        NameOrigin::Api => "api",
    };
    let named = |(model, origin)| ModelName { model, origin: origin_of(origin) };
    web::Json(ModelNames { items: state.system.models().await.into_iter().map(named).collect() })
}

/// Add a name for models, or change one. In force at once, and after a restart.
#[utoipa::path(put, path = "/models/{name}", tag = "providers",
    params(("name" = String, Path)), request_body = ModelConfig, responses((status = 204)))]
pub(crate) async fn put_model_name(
    caller: Allowed<permit::ProvidersManage>,
    (state, trail): (State, Trail),
    name: web::Path<String>,
    model: web::Json<ModelConfig>,
) -> Result<HttpResponse, ApiError> {
    let mut model = model.into_inner();
    if !model.name.is_empty() && model.name != *name {
        let message = "`name` is not the one of the path";
        return Err(ClientError::new(ErrorCode::ValidationFailed, message).into());
    }
    model.name.clone_from(&name);
    state.system.put_model(model).await?;
    trail.note(&caller.user, "model.put", &name).await;
    Ok(HttpResponse::NoContent().finish())
}

/// Take a name away that was put here.
#[utoipa::path(delete, path = "/models/{name}", tag = "providers",
    params(("name" = String, Path)), responses((status = 204)))]
pub(crate) async fn delete_model_name(
    caller: Allowed<permit::ProvidersManage>,
    (state, trail): (State, Trail),
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    state.system.delete_model(&name).await?;
    trail.note(&caller.user, "model.delete", &name).await;
    Ok(HttpResponse::NoContent().finish())
}

/// Read the configuration again, and put its providers and models in force, all or nothing. What
/// runs goes on as it began.
#[utoipa::path(post, path = "/config/reload", tag = "providers",
    responses((status = 200, body = Reloaded)))]
pub(crate) async fn reload_config(
    caller: Allowed<permit::ProvidersManage>,
    (state, trail): (State, Trail),
) -> Result<web::Json<Reloaded>, ApiError> {
    let reloaded = state.reload.reload().await?;
    trail.note(&caller.user, "config.reload", reloaded.providers.join(",")).await;
    Ok(web::Json(reloaded))
}
