//! `/admin`: what administrators see and change of others.

mod audit;
mod roles;
mod users;

pub(crate) use self::{audit::*, roles::*, users::*};
