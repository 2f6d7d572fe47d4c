//! The face model alone: one 720p picture with four faces, scaled and looked at, on every set of kernels that the processor has.

use std::sync::Arc;

use criterion::{Criterion, Throughput};
use framesql::frame::reader::{Media, MediaOptions, Wanted};
use framesql_udfs::model::Model;
use framesql_udfs::model::yunet::YuNet;

const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/media/lobby.mp4");
/// A frame of the clip that shows four faces.
const FOUR_FACES: i64 = 260;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let media = Arc::new(Media::open(CLIP, &MediaOptions::default(), &[]).expect("the bundled clip opens"));
    let wanted = Wanted { pixels: true, from_frame_no: Some(FOUR_FACES), ..Wanted::default() };
    let shot = media.read(wanted, Arc::default()).and_then(|mut r| r.next()).expect("the bundled clip is whole");
    let picture = shot.and_then(|s| s.picture).expect("the frame can be decoded");
    let mut group = criterion.benchmark_group("detect");
    group.throughput(Throughput::Elements(1));
    for model in YuNet::on_every_path() {
        let mut session = model.new_session();
        group.bench_function(format!("1280x720 at 640x360, {}", model.kernels()), |bencher| {
            bencher.iter(|| session.infer(&picture).expect("a whole picture"));
        });
    }
    group.finish();
    criterion.final_summary();
}
