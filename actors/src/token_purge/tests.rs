use actix::{Arbiter, Handler, Message};
use callboard_entities::queries::tokens::NewRefreshToken;
use callboard_protocol::TokenFamilyId;
use prometheus::{IntCounterVec, Opts};

use super::*;
use crate::{
    keeper::{Keeper, Placement},
    testing::{World, eventually, run},
};

#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

impl Handler<Crash> for TokenPurge {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("as told");
    }
}

/// Stores a token that ends `ahead` of now, or has ended already.
async fn token(world: &World, hash: [u8; 32], ahead: Option<Duration>) {
    let now = Timestamp::now();
    let expires_at = ahead.map_or(now.minus(Duration::from_secs(1)), |ahead| now.plus(ahead));
    let new =
        NewRefreshToken { hash, family: TokenFamilyId::new(), user: world.user.id, expires_at };
    tokens::insert(&world.store, &new, now).await.unwrap();
}

async fn is_there(world: &World, hash: [u8; 32]) -> bool {
    tokens::family_of(&world.store, &hash).await.unwrap().is_some()
}

async fn until_gone(world: &World, hash: [u8; 32]) {
    eventually(async || (!is_there(world, hash).await).then_some(())).await;
}

#[test]
fn ended_tokens_are_forgotten_again_and_again_also_after_a_panic() {
    run(async {
        let world = World::start().await;
        let keeper = Keeper::new(IntCounterVec::new(Opts::new("r", "r"), &["actor"]).unwrap());
        let seed = PurgeSeed { store: world.store.clone(), every: Duration::from_millis(20) };
        token(&world, [1; 32], None).await;
        token(&world, [2; 32], Some(Duration::from_secs(600))).await;
        let here = Arbiter::current();
        let purge = keeper
            .keep("token_purge", Placement::on(&here, MAILBOX), move |_| TokenPurge::new(seed));
        until_gone(&world, [1; 32]).await;
        token(&world, [3; 32], None).await;
        until_gone(&world, [3; 32]).await;
        assert!(purge.send(Crash).await.is_err());
        eventually(async || (keeper.restarts("token_purge") == 1).then_some(())).await;
        token(&world, [4; 32], None).await;
        until_gone(&world, [4; 32]).await;
        assert!(is_there(&world, [2; 32]).await, "one that is good yet");
    });
}

#[test]
fn a_system_purges() {
    run(async {
        let world = World::start().await;
        assert!(world.system.keeper().observe().contains_key("token_purge"));
    });
}
