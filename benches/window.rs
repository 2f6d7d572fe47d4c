//! Windows alone: rows without pixels through TUMBLE and HOP, as a SELECT and as a continuous query, in rows a second.

mod statements;

use criterion::{Criterion, Throughput};

const N_ROWS: u64 = 200_000;
const SHAPES: [(&str, &str); 2] =
    [("tumble", "TUMBLE(test, ts, INTERVAL '1 second')"), ("hop of 5", "HOP(test, ts, INTERVAL '1 second', INTERVAL '5 seconds')")];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Runtime::new().expect("the runtime starts");
    let engine = runtime.block_on(statements::open());
    let session = engine.session("bench", "bench");
    let source = format!("CREATE SOURCE test FROM 'pattern:' WITH (size = '32x32', fps = 100, boxes = 0, frames = {N_ROWS})");
    runtime.block_on(statements::run(&session, &source));
    let mut group = criterion.benchmark_group("window");
    group.sample_size(10).throughput(Throughput::Elements(N_ROWS));
    for (name, window) in SHAPES {
        let query = format!("SELECT window_start, count(*) AS n, sum(frame_no) AS s FROM {window} GROUP BY window_start");
        group.bench_function(format!("{name}, SELECT"), |bencher| {
            bencher.iter(|| runtime.block_on(statements::run(&session, &query)));
        });
        group.bench_function(format!("{name}, SUBSCRIBE"), |bencher| {
            bencher.iter(|| runtime.block_on(statements::run(&session, &format!("SUBSCRIBE ({query})"))));
        });
    }
    group.finish();
    criterion.final_summary();
}
