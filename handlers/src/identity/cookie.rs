//! The cookies of a browser's session.
//!
//! `callboard_access` and `callboard_refresh` are out of reach of scripts; `callboard_csrf` is
//! there for the page's script to read. None of them is sent along with a request that another
//! site caused (`SameSite=Strict`).

use actix_web::cookie::{Cookie, SameSite, time::Duration};

use super::Session;

/// The access token; sent with everything.
pub(crate) const ACCESS: &str = "callboard_access";
/// The refresh token; sent to the API alone.
pub(crate) const REFRESH: &str = "callboard_refresh";
/// The CSRF token; readable.
pub(crate) const CSRF: &str = "callboard_csrf";

/// The cookies of a new session.
pub(crate) fn of_session(session: &Session, secure: bool) -> [Cookie<'static>; 3] {
    let access = cookie(ACCESS, session.access_token.clone(), session.access_lifetime.as_secs());
    let refresh =
        cookie(REFRESH, session.refresh_token.clone(), session.refresh_lifetime.as_secs());
    let csrf = cookie(CSRF, session.csrf_token.clone(), session.refresh_lifetime.as_secs());
    dress([access, refresh, csrf], secure)
}

/// The cookies that end a session.
pub(crate) fn of_nobody(secure: bool) -> [Cookie<'static>; 3] {
    dress([ACCESS, REFRESH, CSRF].map(|name| cookie(name, String::new(), 0)), secure)
}

fn cookie(name: &'static str, value: String, seconds: u64) -> Cookie<'static> {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    Cookie::build(name, value).max_age(Duration::seconds(seconds)).finish()
}

fn dress(mut cookies: [Cookie<'static>; 3], secure: bool) -> [Cookie<'static>; 3] {
    for cookie in &mut cookies {
        cookie.set_http_only(cookie.name() != CSRF);
        cookie.set_path(if cookie.name() == REFRESH { "/api" } else { "/" });
        cookie.set_same_site(SameSite::Strict);
        cookie.set_secure(secure);
    }
    cookies
}
