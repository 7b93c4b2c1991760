//! A message that makes the actor panic.

use actix::{Handler, Message};

use super::Provider;
use crate::mailbox::Posted;

#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Crash;

impl Handler<Posted<Crash>> for Provider {
    type Result = ();

    fn handle(&mut self, _: Posted<Crash>, _: &mut Self::Context) {
        panic!("as told");
    }
}
