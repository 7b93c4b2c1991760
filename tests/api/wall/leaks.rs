//! What a server holds between rounds of calls: memory, files, and connections to its providers.

use super::stage::Stage;

/// What malloc and caches may take more in a round, in bytes, whatever its size.
const SLACK: u64 = 16 * 1024 * 1024;

/// Files and connections that may come and go between rounds: pools, and sockets being closed.
const FEW: usize = 64;

/// The measurements, one after each round.
#[derive(Debug, Default)]
pub(super) struct Leaks {
    rounds: Vec<Round>,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    memory: u64,
    files: usize,
    connections: usize,
}

impl Leaks {
    /// Of a server that is quiet.
    pub(super) fn measure(&mut self, stage: &Stage) {
        self.rounds.push(Round {
            memory: stage.server.memory(),
            files: stage.server.open_files(),
            connections: stage.first.open_count() + stage.second.open_count(),
        });
    }

    /// The last round may hold no more than the one before.
    #[expect(clippy::print_stdout, reason = "the figures are for whoever runs the test")]
    pub(super) fn check(&self) {
        for Round { memory, files, connections } in &self.rounds {
            let memory = memory / (1 << 20);
            println!("after a round: {memory} MiB, {files} files, {connections} connections");
        }
        let [.., before, after] = self.rounds.as_slice() else { panic!("{self:?}") };
        assert!(after.memory < before.memory + SLACK, "{self:?}");
        assert!(after.files < before.files + FEW, "{self:?}");
        assert!(after.connections < before.connections + FEW, "{self:?}");
    }
}
