//! The look whether a provider is there: at intervals, without asking a model. Two in a row that find
//! nobody open its breakers, before somebody has to wait for it; one that finds it again lets the
//! next call through.

use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};

use super::Provider;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A single one may have been lost on the way.
const MISSES: u32 = 2;

/// What the looks have found.
#[derive(Debug, Default)]
pub(super) struct Looks {
    misses: u32,
    /// One has not come back yet.
    looking: bool,
}

/// Begins to look, if that is configured.
pub(super) fn arm(provider: &Provider, ctx: &mut Context<Provider>) {
    if let Some(seconds) = provider.seed.config.probe_s {
        ctx.run_later(Duration::from_secs(seconds), |provider, ctx| {
            // Nobody needs a provider that was replaced; its actor ends when nothing holds it.
            if ctx.connected() {
                look(provider, ctx);
                arm(provider, ctx);
            }
        });
    }
}

fn look(provider: &mut Provider, ctx: &mut Context<Provider>) {
    if std::mem::replace(&mut provider.looks.looking, true) {
        return;
    }
    let client = std::sync::Arc::clone(&provider.seed.client);
    let looked = async move { client.is_there(PATIENCE).await };
    ctx.spawn(looked.into_actor(provider).map(|there, provider, ctx| {
        provider.looks.looking = false;
        provider.looks.misses = if there { 0 } else { provider.looks.misses + 1 };
        if there || provider.looks.misses >= MISSES {
            provider.seed.gate.seen(there);
        }
        // Whoever waits for it may go, or be refused.
        provider.serve(ctx);
    }));
}
