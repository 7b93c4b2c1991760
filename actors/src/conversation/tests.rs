use callboard_entities::queries::messages;
use callboard_protocol::{Author, MessageStatus};

use super::*;
use crate::{
    testing::{World, eventually, question, run},
    turn_log::Ended,
};

/// The status of the answers of a conversation.
async fn answers(world: &World, conversation: ConversationId) -> Vec<MessageStatus> {
    let page = messages::page(&world.store, world.user.id, conversation, None, 50).await.unwrap();
    let answers = page.items.into_iter().filter(|message| message.author == Author::Assistant);
    answers.map(|message| message.status).collect()
}

/// Asks, with the conversation failing at `place`, and asks once more.
async fn asked_with_a_trap(place: &'static str) -> (World, Begun) {
    let world = World::start().await;
    let first = world.system.ask(world.asker(), question("one?")).await.unwrap();
    first.log.as_ref().unwrap().ended().await;
    world.system.shared().trap.set(place);
    let ask = Ask { conversation_id: Some(first.conversation_id), ..question("two?") };
    // The ask that met the panic is sent again by the directory, and finds what was stored.
    let begun = world.system.ask(world.asker(), ask).await.unwrap();
    assert!(begun.existing);
    assert_eq!(begun.conversation_id, first.conversation_id);
    (world, begun)
}

#[test]
fn a_turn_that_was_stored_and_never_begun_is_interrupted() {
    run(async {
        let (world, begun) = asked_with_a_trap("stored").await;
        assert!(begun.log.is_none());
        // At once: the reply to the second ask came after it.
        let [MessageStatus::Complete, MessageStatus::Interrupted] =
            answers(&world, begun.conversation_id).await[..]
        else {
            panic!("{:?}", answers(&world, begun.conversation_id).await);
        };
        goes_on(&world, begun.conversation_id).await;
    });
}

#[test]
fn a_turn_that_was_known_and_never_begun_is_ended() {
    run(async {
        let (world, begun) = asked_with_a_trap("known").await;
        let ended = begun.log.unwrap().ended().await;
        assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
        let all = [MessageStatus::Complete, MessageStatus::Failed];
        assert_eq!(answers(&world, begun.conversation_id).await, all);
        goes_on(&world, begun.conversation_id).await;
    });
}

/// The conversation answers the next question, and nothing runs for ever.
async fn goes_on(world: &World, conversation: ConversationId) {
    let ask = Ask { conversation_id: Some(conversation), ..question("three?") };
    let begun = world.system.ask(world.asker(), ask).await.unwrap();
    assert!(matches!(begun.log.unwrap().ended().await, Ended::Answered(_)));
    let quiet = async || (world.system.shared().turns.running() == 0).then_some(());
    eventually(quiet).await;
}

#[test]
fn a_conversation_that_is_given_up_leaves_no_turn_behind() {
    run(async {
        let world = World::start().await;
        let first = world.system.ask(world.asker(), question("one?")).await.unwrap();
        first.log.as_ref().unwrap().ended().await;
        for number in 0..6 {
            world.system.shared().trap.set("stored");
            let conversation_id = Some(first.conversation_id);
            let ask = Ask { conversation_id, ..question(&format!("{number}?")) };
            drop(world.system.ask(world.asker(), ask).await);
        }
        let ended = async || {
            let answers = answers(&world, first.conversation_id).await;
            let over = !answers.contains(&MessageStatus::Streaming);
            (over && answers.len() == 7).then_some(())
        };
        eventually(ended).await;
    });
}

#[test]
fn the_overhead_of_a_turn_begins_when_its_question_arrives() {
    run(async {
        let world = World::start().await;
        let shared = world.system.shared();
        let id = ConversationId::new();
        let asked_at = Instant::now();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let directory = Conversations::new(
            world.system.keeper().clone(),
            vec![actix::Arbiter::current()].into(),
        );
        let begin =
            || BeginTurn { asker: world.asker(), ask: question("how long?"), new: true, asked_at };
        let begun = directory.ask(id, shared, begin).await.unwrap().unwrap();
        begun.log.unwrap().ended().await;
        let overhead = &world.system.metrics().turn_overhead;
        assert_eq!(overhead.get_sample_count(), 1);
        assert!(overhead.get_sample_sum() >= 0.05, "{}", overhead.get_sample_sum());
    });
}
