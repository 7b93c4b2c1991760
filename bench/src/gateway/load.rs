//! One measurement: so many connections, directly and then through the gateway.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, interval, sleep},
};

use super::client::{Answered, Ask, Asker, Target};
use crate::{process::Usage, samples::Samples};

/// Every connection asks for so long before anything is measured.
const WARM_UP: Duration = Duration::from_millis(300);

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How much there is to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// How long, at full speed.
    pub(crate) length: Duration,
    /// Paced streams at once.
    pub(crate) streams: u32,
    /// Of each connection, after a first one.
    pub(crate) rounds: u32,
    /// Of each stream.
    pub(crate) tokens: u32,
    /// From token to token of a paced one.
    pub(crate) pace: Duration,
}

/// Who is asked.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) direct: Target,
    pub(crate) ours: Target,
    /// Our process.
    pub(crate) pid: u32,
}

/// The same, asked directly and through the gateway.
#[derive(Debug)]
pub(crate) struct Both {
    pub(crate) direct: Run,
    pub(crate) ours: Run,
}

/// What came of one of them.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) answers: u32,
    /// Tokens that came, in their order.
    pub(crate) tokens: u64,
    pub(crate) elapsed: Duration,
    pub(crate) first: Samples,
    pub(crate) whole: Samples,
    /// What the server used in that time, on its core.
    pub(crate) cpu: Duration,
    /// The most that the server held in memory.
    pub(crate) rss_kb: u64,
}

impl Load {
    /// As many questions as can be asked in the time.
    pub(crate) async fn full_speed(
        &self,
        pair: &Pair,
        ask: Ask,
        connections: u32,
    ) -> anyhow::Result<Both> {
        let direct = at_full_speed(&pair.direct, ask, connections, self.length, pair.pid).await?;
        let ours = at_full_speed(&pair.ours, ask, connections, self.length, pair.pid).await?;
        Ok(Both { direct, ours })
    }

    /// Streams at their pace, begun one after the other over the length of one.
    pub(crate) async fn paced(&self, pair: &Pair) -> anyhow::Result<Both> {
        let direct = self.at_pace(&pair.direct, pair.pid).await?;
        let ours = self.at_pace(&pair.ours, pair.pid).await?;
        Ok(Both { direct, ours })
    }

    async fn at_pace(&self, target: &Target, pid: u32) -> anyhow::Result<Run> {
        let mut reading = JoinSet::new();
        let (before, begun) = (Usage::of(pid)?, Instant::now());
        let (rounds, span) = (self.rounds, self.pace * self.tokens);
        for number in 0..self.streams {
            let mut asker = Asker::open(target, Ask::Paced).await?;
            let delay = span * number / self.streams;
            reading.spawn(async move {
                sleep(delay).await;
                // With the first one the gateway opens its connection: its time is not counted.
                let first = asker.ask().await?;
                let mut run = Run { answers: 1, tokens: first.tokens.into(), ..Run::default() };
                for _ in 0..rounds {
                    run.add(asker.ask().await?);
                }
                anyhow::Ok(run)
            });
        }
        gather(reading, pid, (before, begun)).await
    }
}

async fn at_full_speed(
    target: &Target,
    ask: Ask,
    connections: u32,
    length: Duration,
    pid: u32,
) -> anyhow::Result<Run> {
    let mut warming = JoinSet::new();
    for _ in 0..connections {
        let mut asker = Asker::open(target, ask).await?;
        warming.spawn(async move {
            let until = Instant::now() + WARM_UP;
            while Instant::now() < until {
                asker.ask().await?;
            }
            anyhow::Ok(asker)
        });
    }
    let mut askers = Vec::new();
    while let Some(asker) = warming.join_next().await {
        askers.push(asker??);
    }
    let (before, begun) = (Usage::of(pid)?, Instant::now());
    let mut asking = JoinSet::new();
    for mut asker in askers {
        asking.spawn(async move {
            let mut run = Run::default();
            while begun.elapsed() < length {
                run.add(asker.ask().await?);
            }
            anyhow::Ok(run)
        });
    }
    gather(asking, pid, (before, begun)).await
}

/// Waits for all, and looks at the server meanwhile.
async fn gather(
    mut running: JoinSet<anyhow::Result<Run>>,
    pid: u32,
    (before, begun): (Usage, Instant),
) -> anyhow::Result<Run> {
    let mut all = Run::default();
    let mut looks = interval(LOOK_EVERY);
    loop {
        tokio::select! {
            ended = running.join_next() => match ended {
                Some(run) => all.merge(run??),
                None => break,
            },
            _ = looks.tick() => all.rss_kb = all.rss_kb.max(Usage::of(pid)?.rss_kb),
        }
    }
    all.elapsed = begun.elapsed();
    all.cpu = Usage::of(pid)?.cpu.saturating_sub(before.cpu);
    Ok(all)
}

impl Run {
    fn add(&mut self, answered: Answered) {
        self.answers += 1;
        self.tokens += u64::from(answered.tokens);
        self.first.add(answered.first);
        self.whole.add(answered.whole);
    }

    fn merge(&mut self, other: Self) {
        self.answers += other.answers;
        self.tokens += other.tokens;
        self.first.merge(other.first);
        self.whole.merge(other.whole);
    }

    /// Answers in a second.
    pub(crate) fn per_second(&self) -> f64 {
        f64::from(self.answers) / self.elapsed.as_secs_f64()
    }

    /// CPU time of one answer, in microseconds.
    pub(crate) fn cpu_per_answer(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / f64::from(self.answers.max(1))
    }
}
