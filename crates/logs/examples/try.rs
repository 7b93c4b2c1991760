use callboard_logs::*;
use callboard_protocol::*;
use std::ops::ControlFlow;
fn main() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(dir.path(), &LogsConfig::default()).unwrap();
    let now: Timestamp = "2026-11-21T06:00:00Z".parse().unwrap();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let split = args.iter().position(|a| a == "--").unwrap();
    for path in &args[..split] {
        let name = std::path::Path::new(path).file_name().unwrap().to_string_lossy().into_owned();
        let t = std::time::Instant::now();
        let p = store
            .ingest_file(
                path.as_ref(),
                &IngestOptions::whole(SourceId::new(), name, now),
                &mut |_| ControlFlow::Continue(()),
            )
            .unwrap();
        println!("{path}: {p:?} {:?}", t.elapsed());
    }
    println!("{:?}", store.stats());
    for q in &args[split + 1..] {
        let t = std::time::Instant::now();
        let e = store.investigate(q, &InvestigateOptions::at(now)).unwrap();
        println!(
            "\n=== {q}  ({:?})\n  query: {}\n  reading: {}\n  range {:?}..{:?} matched {} counted {} of {}",
            t.elapsed(),
            e.searched.query,
            e.searched.reading,
            e.searched.range.from.map(|t| t.to_string()),
            e.searched.range.to.map(|t| t.to_string()),
            e.searched.matched,
            e.searched.counted,
            e.searched.searched
        );
        println!(
            "  levels {:?}",
            e.levels.iter().map(|l| (l.level.as_str(), l.count)).collect::<Vec<_>>()
        );
        println!("  histogram {} x {} ms", e.histogram.len(), e.bucket_ms);
        for r in &e.rankings {
            println!("  {} ({} distinct)", r.kind, r.distinct);
            for v in r.top.iter().take(if r.kind == "IP addresses" { 30 } else { 6 }) {
                println!(
                    "    {:5} {} [{} .. {}] {} {}",
                    v.lines,
                    v.value,
                    v.first_seen.map(|t| t.to_string()).unwrap_or_default(),
                    v.last_seen.map(|t| t.to_string()).unwrap_or_default(),
                    v.first_line,
                    v.last_line
                );
            }
        }
        for l in e.lines.iter().take(3) {
            println!("  > {} {}", l.id, &l.text[..l.text.len().min(150)]);
        }
    }
}
