//! The questions of queries/ from end to end over the bundled clip, each on a new engine, in frames a second: the number that counts.

mod statements;

use std::path::Path;

use criterion::{Criterion, Throughput};
use framesql::settings::Settings;

const N_FRAMES: u64 = 300;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Runtime::new().expect("the runtime starts");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = format!("CREATE SOURCE clip FROM 'file://{}/media/lobby.mp4'", root.display());
    let mut group = criterion.benchmark_group("query");
    group.sample_size(10).throughput(Throughput::Elements(N_FRAMES));
    for question in ["faces_per_second", "frames_per_keyframe", "busiest_two_seconds"] {
        let sql = std::fs::read_to_string(root.join(format!("queries/{question}.sql"))).expect("the question is there");
        group.bench_function(question, |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let engine = statements::open(Settings::default()).await;
                    let session = engine.session("bench", "bench");
                    statements::run(&session, &source).await;
                    let n_rows = statements::run(&session, &sql).await;
                    engine.shutdown().await;
                    n_rows
                })
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
