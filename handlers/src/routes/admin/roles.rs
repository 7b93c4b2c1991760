//! `/admin/roles`: what accounts may do, and which logs they see.

use actix_web::{HttpResponse, web};
use callboard_protocol::{PutRole, Role, RoleDetails, RoleList, Timestamp};

use crate::{
    ApiError,
    audit::Trail,
    edge::State,
    extract::{Allowed, permit},
};

/// All roles: those that are built in, and those that were made here.
#[utoipa::path(get, path = "/admin/roles", tag = "admin",
    responses((status = 200, body = RoleList)))]
pub(crate) async fn list_roles(
    _: Allowed<permit::UsersManage>,
    state: State,
) -> Result<web::Json<RoleList>, ApiError> {
    Ok(web::Json(state.identity.roles()))
}

/// Make a role, or put this in its place. It counts at once for all of its accounts.
#[utoipa::path(put, path = "/admin/roles/{name}", tag = "admin", params(("name" = Role, Path)),
    request_body = PutRole, responses((status = 200, body = RoleDetails)))]
pub(crate) async fn put_role(
    caller: Allowed<permit::UsersManage>,
    (state, trail): (State, Trail),
    name: web::Path<Role>,
    body: web::Json<PutRole>,
) -> Result<web::Json<RoleDetails>, ApiError> {
    let role = body.into_inner();
    let (before, after) = state.identity.put_role(*name, role, Timestamp::now()).await?;
    trail.change(&caller.user, "role.put", *name, (before, Some(&after))).await;
    Ok(web::Json(after))
}

/// Delete a role that no account has.
#[utoipa::path(delete, path = "/admin/roles/{name}", tag = "admin", params(("name" = Role, Path)),
    responses((status = 204)))]
pub(crate) async fn delete_role(
    caller: Allowed<permit::UsersManage>,
    (state, trail): (State, Trail),
    name: web::Path<Role>,
) -> Result<HttpResponse, ApiError> {
    state.identity.delete_role(*name).await?;
    trail.note(&caller.user, "role.delete", *name).await;
    Ok(HttpResponse::NoContent().finish())
}
