//! A message that makes the actor panic.

use actix::{Handler, Message};

use super::Provider;

#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Crash;

impl Handler<Crash> for Provider {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("as told");
    }
}
