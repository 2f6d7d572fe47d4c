//! Decoding alone: the bundled 720p clip from packets to pictures, in frames a second.

use std::sync::Arc;

use criterion::{Criterion, Throughput};
use framesql::frame::reader::{Media, MediaOptions, Wanted};
use framesql::settings::DecoderChoice;

const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/media/lobby.mp4");

fn n_pictures(media: &Arc<Media>, pixels: bool) -> usize {
    let mut reader = media.read(Wanted { pixels, ..Wanted::default() }, Arc::default()).expect("the bundled clip is read");
    let mut n_pictures = 0;
    while let Some(shot) = reader.next().expect("the bundled clip is whole") {
        n_pictures += usize::from(shot.picture.is_some());
    }
    n_pictures
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let media = Arc::new(Media::open(CLIP, &MediaOptions::default(), &[]).expect("the bundled clip opens"));
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(10).throughput(Throughput::Elements(media.info().n_rows.unwrap_or(0)));
    for (name, pixels) in [("lobby, 300 frames of 1280x720", true), ("lobby, without pixels", false)] {
        group.bench_function(name, |bencher| bencher.iter(|| n_pictures(&media, pixels)));
    }
    let options = MediaOptions { decoder: Some(DecoderChoice::Ffmpeg), ..MediaOptions::default() };
    // Only where there is an ffmpeg.
    if let Ok(media) = Media::open(CLIP, &options, &[]).map(Arc::new) {
        group.bench_function("lobby, through ffmpeg", |bencher| bencher.iter(|| n_pictures(&media, true)));
    }
    group.finish();
    criterion.final_summary();
}
