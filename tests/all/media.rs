//! What a source reads: every container and codec against the sums that ffmpeg gives, damage that costs only what it hits, and how little is decoded for a seek.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use framesql::capture::container::Contents;
use framesql::error::{Error, Result};
use framesql::frame::reader::{Media, MediaOptions, Shot, Wanted};
use framesql::metrics::SourceCounters;
use framesql::settings::DecoderChoice;
use framesql_udfs::frame::{Picture, PixelFormat};
use framesql_udfs::pixels::{Order, render};

pub(crate) const ALL: Wanted = Wanted {
    pixels: true,
    truth: false,
    from_frame_no: None,
    to_frame_no: None,
    from_pts_us: None,
    to_pts_us: None,
    keyframes_only: false,
};

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn clip(name: &str) -> PathBuf {
    root().join("tests/media").join(name)
}

fn open(path: &Path) -> Result<Arc<Media>> {
    // What the built-in decoders read; ffmpeg.rs has the others.
    let options = MediaOptions { default_decoder: DecoderChoice::Builtin, ..MediaOptions::default() };
    Media::open(path.to_str().expect("the path is UTF-8"), &options, &[]).map(Arc::new)
}

pub(crate) fn read(media: &Arc<Media>, wanted: Wanted) -> Result<(Vec<Shot>, Arc<SourceCounters>)> {
    let counters = Arc::new(SourceCounters::default());
    let mut reader = media.read(wanted, Arc::clone(&counters))?;
    let mut shots = Vec::new();
    while let Some(shot) = reader.next()? {
        shots.push(shot);
    }
    Ok((shots, counters))
}

fn all(path: &Path) -> (Vec<Shot>, Arc<SourceCounters>) {
    read(&open(path).unwrap(), ALL).unwrap()
}

/// CRC-32 of the planes, one after another.
pub(crate) fn sum(picture: &Picture) -> u32 {
    let step = |crc: u32| (0..8).fold(crc, |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 });
    let table: Vec<u32> = (0..256).map(step).collect();
    !picture.planes.iter().flatten().flat_map(|plane| plane.iter()).fold(!0, |crc, byte| crc >> 8 ^ table[(crc as u8 ^ byte) as usize])
}

pub(crate) fn sum_of(shot: &Shot) -> Option<u32> {
    shot.picture.as_ref().map(sum)
}

pub(crate) fn failed(shots: &[Shot]) -> usize {
    shots.iter().filter(|s| s.picture.is_none()).count()
}

/// A line of the golden sums: time in µs, width, height, keyframe, sum.
pub(crate) type Golden = (i64, u32, u32, bool, u32);

pub(crate) fn golden() -> BTreeMap<String, Vec<Golden>> {
    let text = std::fs::read_to_string(root().join("tests/golden/sums.txt")).unwrap();
    let mut clips = BTreeMap::<String, Vec<Golden>>::new();
    for line in text.lines() {
        let [name, _, us, width, height, keyframe, sum] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let golden =
            (us.parse().unwrap(), width.parse().unwrap(), height.parse().unwrap(), keyframe == "1", u32::from_str_radix(sum, 16).unwrap());
        clips.entry(name.to_owned()).or_default().push(golden);
    }
    clips
}

#[test]
fn every_picture_of_every_clip_is_the_one_that_ffmpeg_decodes() {
    let clips = golden();
    assert!(clips.len() >= 17, "{}", clips.len());
    for (name, expected) in clips {
        let (shots, counters) = all(&root().join(&name));
        let found: Vec<Golden> = shots
            .iter()
            .map(|s| {
                let p = s.picture.as_ref().unwrap_or_else(|| panic!("{name}#{} has no picture", s.frame_no));
                // ffprobe knows no rotation: its sizes are those of the planes.
                (s.pts_us, p.width, p.height, s.keyframe, sum(p))
            })
            .collect();
        assert_eq!(found.len(), expected.len(), "{name}");
        for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "{name}#{number}");
        }
        assert_eq!(counters.frames_failed.get(), 0, "{name}");
        assert!(counters.frames_decoded.get() >= found.len() as u64, "{name}");
        assert_eq!(counters.bytes_copied.get(), 0, "{name}: no pixel is copied");
    }
}

#[test]
fn rows_times_and_sizes_are_the_same_whether_pixels_are_read_or_not() {
    let mut paths: Vec<PathBuf> = golden().into_keys().map(|name| root().join(name)).filter(|p| !p.ends_with("lobby.mp4")).collect();
    paths.push(clip("pictures"));
    for path in paths {
        let media = open(&path).unwrap();
        let (bare, counters) = read(&media, Wanted { pixels: false, ..ALL }).unwrap();
        let (full, _) = read(&media, ALL).unwrap();
        let row = |s: &Shot| (s.frame_no, s.pts_us, s.width, s.height, s.keyframe, s.missed);
        assert_eq!(bare.iter().map(row).collect::<Vec<_>>(), full.iter().map(row).collect::<Vec<_>>(), "{path:?}");
        assert_eq!((media.info().n_rows, counters.frames_decoded.get()), (Some(bare.len() as u64), 0), "{path:?}");
        assert_eq!((media.info().width, media.info().height), (bare[0].width, bare[0].height), "{path:?}");
    }
}

#[test]
fn a_turned_video_is_described_as_displayed() {
    let media = open(&clip("turned.mov")).unwrap();
    let (shots, _) = read(&media, Wanted { to_frame_no: Some(0), ..ALL }).unwrap();
    let picture = shots[0].picture.as_ref().unwrap();
    assert_eq!((picture.width, picture.height, picture.rotation), (98, 66, 90));
    assert_eq!((shots[0].width, shots[0].height, media.info().width), (66, 98, 66));
}

#[test]
fn a_video_is_mirrored_as_its_matrix_says() {
    let file = std::fs::read(clip("main.mp4")).unwrap();
    let header = file.windows(4).position(|name| name == b"tkhd").unwrap() + 4;
    assert_eq!(file[header], 0, "a header of version 0");
    let folder = tempfile::tempdir().unwrap();
    let shown = |[a, b, c, d]: [i32; 4]| {
        let mut file = file.clone();
        for (at, value) in [(0, a), (1, b), (3, c), (4, d)] {
            file[header + 40 + 4 * at..][..4].copy_from_slice(&(value * 65_536).to_be_bytes());
        }
        let path = folder.path().join("held.mp4");
        std::fs::write(&path, file).unwrap();
        let (shots, _) = read(&open(&path).unwrap(), Wanted { to_frame_no: Some(0), ..ALL }).unwrap();
        let pixels = render(shots[0].picture.as_ref().unwrap(), Order::Rgb, None).unwrap();
        assert_eq!((shots[0].width, shots[0].height), (pixels.width, pixels.height));
        let rows: Vec<Vec<[u8; 3]>> =
            pixels.data.chunks(3 * pixels.width as usize).map(|row| row.chunks(3).map(|p| [p[0], p[1], p[2]]).collect()).collect();
        rows
    };
    let as_stored = shown([1, 0, 0, 1]);
    let mirror = |rows: &[Vec<[u8; 3]>]| rows.iter().map(|row| row.iter().rev().copied().collect()).collect::<Vec<Vec<_>>>();
    let upside_down = |rows: &[Vec<[u8; 3]>]| rows.iter().rev().cloned().collect::<Vec<_>>();
    let diagonal = |rows: &[Vec<[u8; 3]>]| (0..rows[0].len()).map(|x| rows.iter().map(|row| row[x]).collect()).collect::<Vec<Vec<_>>>();
    for (matrix, expected) in [
        ([-1, 0, 0, 1], mirror(&as_stored)),
        ([1, 0, 0, -1], upside_down(&as_stored)),
        ([-1, 0, 0, -1], mirror(&upside_down(&as_stored))),
        ([0, 1, 1, 0], diagonal(&as_stored)),
        ([0, 1, -1, 0], mirror(&diagonal(&as_stored))),
        ([0, -1, -1, 0], mirror(&upside_down(&diagonal(&as_stored)))),
        ([0, -1, 1, 0], upside_down(&diagonal(&as_stored))),
    ] {
        assert!(shown(matrix) == expected, "{matrix:?}");
    }
}

#[test]
fn the_duration_is_the_end_of_the_last_picture() {
    for (name, us) in [
        ("baseline.mp4", 1_000_000),
        ("main.mp4", 1_600_000),
        ("fragmented.mp4", 1_600_000),
        ("cut.mp4", 880_000),
        ("high.mkv", 1_200_000),
        ("motion.mjpeg", 400_000),
        ("motion.mkv", 400_000),
        ("moving.gif", 1_000_000),
        ("pictures", 200_000),
    ] {
        assert_eq!(open(&clip(name)).unwrap().info().duration_us, Some(us), "{name}");
    }
}

#[test]
fn a_seek_decodes_from_the_keyframe_before_and_gives_the_same_picture() {
    for name in ["main.mp4", "high.mp4", "open.mp4", "high.mkv", "cut.mp4", "motion.mkv", "moving.gif"] {
        let media = open(&clip(name)).unwrap();
        let (shots, _) = read(&media, ALL).unwrap();
        for at in 0..shots.len() as i64 {
            let (one, counters) = read(&media, Wanted { from_frame_no: Some(at), to_frame_no: Some(at), ..ALL }).unwrap();
            let expected = &shots[at as usize];
            assert_eq!((one.len(), sum_of(&one[0])), (1, sum_of(expected)), "{name}#{at}");
            if name == "motion.mkv" {
                assert_eq!((counters.frames_demuxed.get(), counters.frames_decoded.get()), (1, 1), "{name}#{at}");
            }
        }
        let from = shots[shots.len() / 2].pts_us;
        let (half, _) = read(&media, Wanted { from_pts_us: Some(from), pixels: false, ..ALL }).unwrap();
        assert_eq!(half.len(), shots.len() - shots.len() / 2, "{name}");
    }
}

#[test]
fn so_many_samples_are_decoded_for_a_seek_and_for_keyframes_only() {
    // main.mp4: a keyframe every 12 pictures, up to three B-frames between the others.
    let media = open(&clip("main.mp4")).unwrap();
    let (all, counters) = read(&media, ALL).unwrap();
    assert_eq!((all.len(), counters.frames_demuxed.get(), counters.frames_decoded.get()), (40, 40, 40));
    let keyframes: Vec<i64> = all.iter().filter(|s| s.keyframe).map(|s| s.frame_no).collect();
    let (only, counters) = read(&media, Wanted { keyframes_only: true, ..ALL }).unwrap();
    assert_eq!(only.iter().map(|s| s.frame_no).collect::<Vec<_>>(), keyframes);
    assert_eq!((counters.frames_demuxed.get(), failed(&only)), (keyframes.len() as u64, 0));
    let last = *keyframes.last().unwrap();
    let (_, counters) = read(&media, Wanted { from_frame_no: Some(last), to_frame_no: Some(last), ..ALL }).unwrap();
    assert_eq!(counters.frames_demuxed.get(), 1);
    let (bare, counters) = read(&media, Wanted { pixels: false, ..ALL }).unwrap();
    assert_eq!((bare.len(), counters.frames_demuxed.get()), (40, 0));
    // A GIF has no place to start but its beginning.
    let gif = open(&clip("moving.gif")).unwrap();
    let (_, counters) = read(&gif, Wanted { from_frame_no: Some(6), to_frame_no: Some(7), ..ALL }).unwrap();
    assert_eq!((counters.frames_demuxed.get(), counters.frames_decoded.get()), (8, 8));
}

#[test]
fn a_folder_is_read_in_the_natural_order_of_its_names() {
    let media = open(&clip("pictures")).unwrap();
    let (shots, _) = read(&media, ALL).unwrap();
    let formats: Vec<_> = shots.iter().map(|s| s.picture.as_ref().map(|p| (p.format, p.rotation)).unwrap()).collect();
    let (jpeg, rgb, gray) = (PixelFormat::Jpeg, PixelFormat::Rgb8, PixelFormat::Gray8);
    assert_eq!(formats, [(jpeg, 0), (rgb, 0), (gray, 0), (rgb, 0), (jpeg, 90)]);
    let rows: Vec<_> = shots.iter().map(|s| (s.pts_us, s.width, s.height, s.keyframe)).collect();
    assert_eq!(rows, [(0, 64, 48, true), (40_000, 50, 70, true), (80_000, 30, 16, true), (120_000, 20, 10, true), (160_000, 48, 64, true)]);
    let file = std::fs::read(clip("pictures/p1.jpg")).unwrap();
    assert_eq!(shots[0].picture.as_ref().and_then(|p| p.planes[0].as_ref()).map(|p| p.as_slice()), Some(&file[..]));
    let png = image::open(clip("pictures/p2.png")).unwrap().into_rgb8().into_raw();
    assert_eq!(shots[1].picture.as_ref().and_then(|p| p.planes[0].as_ref()).map(|p| p.as_slice()), Some(&png[..]));
    let slow = MediaOptions { fps: Some(2.0), ..MediaOptions::default() };
    let glob = clip("pictures/*.png");
    let media = Arc::new(Media::open(glob.to_str().unwrap(), &slow, &[]).unwrap());
    assert_eq!(read(&media, ALL).unwrap().0.iter().map(|s| s.pts_us).collect::<Vec<_>>(), [0, 500_000]);
}

#[test]
fn one_picture_is_one_row_and_a_broken_one_in_a_folder_is_a_null_frame() {
    let (one, _) = all(&clip("pictures/p2.png"));
    assert_eq!((one.len(), one[0].width, one[0].height), (1, 50, 70));
    let folder = tempfile::tempdir().unwrap();
    let png = std::fs::read(clip("pictures/p2.png")).unwrap();
    std::fs::copy(clip("pictures/p1.jpg"), folder.path().join("1.jpg")).unwrap();
    std::fs::write(folder.path().join("2.png"), &png[..png.len() / 2]).unwrap();
    std::fs::write(folder.path().join("3.jpg"), b"not a picture").unwrap();
    std::fs::copy(clip("pictures/p3.png"), folder.path().join("4.png")).unwrap();
    std::fs::copy(clip("pictures/p1.jpg"), folder.path().join("5.jpg")).unwrap();
    let media = open(folder.path()).unwrap();
    // Taken away after it was listed.
    std::fs::remove_file(folder.path().join("5.jpg")).unwrap();
    let (shots, counters) = read(&media, ALL).unwrap();
    let rows: Vec<_> = shots.iter().map(|s| (s.width, s.height, s.picture.is_some())).collect();
    assert_eq!(rows, [(64, 48, true), (50, 70, false), (0, 0, false), (30, 16, true), (0, 0, false)]);
    assert_eq!(counters.frames_failed.get(), 3);
    let (bare, counters) = read(&media, Wanted { pixels: false, ..ALL }).unwrap();
    assert_eq!(bare.iter().map(|s| (s.width, s.height)).collect::<Vec<_>>(), rows.iter().map(|r| (r.0, r.1)).collect::<Vec<_>>());
    assert_eq!(counters.frames_failed.get(), 0);
}

#[test]
fn a_picture_of_more_pixels_than_the_functions_take_is_counted_as_failed() {
    let folder = tempfile::tempdir().unwrap();
    let mut jpeg = std::fs::read(clip("pictures/p1.jpg")).unwrap();
    // Height and width behind the mark of the frame's head, its length and its bits.
    let head = jpeg.windows(2).position(|w| w == [0xff, 0xc0] || w == [0xff, 0xc2]).unwrap();
    for ((width, height), fits) in [((16_384_u16, 8_192_u16), true), ((16_384, 8_193), false)] {
        jpeg[head + 5..head + 9].copy_from_slice(&[height.to_be_bytes(), width.to_be_bytes()].concat());
        let path = folder.path().join("1.jpg");
        std::fs::write(&path, &jpeg).unwrap();
        let (shots, counters) = read(&open(&path).unwrap(), ALL).unwrap();
        assert_eq!((shots[0].width, shots[0].height), (u32::from(width), u32::from(height)));
        assert_eq!((shots[0].picture.is_some(), counters.frames_failed.get()), (fits, u64::from(!fits)), "{width}x{height}");
    }
}

#[test]
fn a_picture_is_shown_as_each_of_the_eight_orientations_says() {
    let folder = tempfile::tempdir().unwrap();
    let jpeg = std::fs::read(clip("pictures/p1.jpg")).unwrap();
    let plain = all(&clip("pictures/p1.jpg")).0.remove(0);
    let shown = |shot: &Shot| {
        let pixels = render(shot.picture.as_ref().unwrap(), Order::Rgb, None).unwrap();
        (shot.width, shot.height, pixels.data.to_vec())
    };
    let (width, height, pixels) = shown(&plain);
    for number in 0..10_u8 {
        // A directory of one entry, the orientation.
        let exif = [b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[number, 0, 0, 0, 0, 0, 0]].concat();
        let segment = [&[0xff, 0xe1][..], &(exif.len() as u16 + 2).to_be_bytes(), &exif].concat();
        let path = folder.path().join(format!("{number}.jpg"));
        std::fs::write(&path, [&jpeg[..2], &segment, &jpeg[2..]].concat()).unwrap();
        let found = shown(&all(&path).0[0]);
        let image = image::RgbImage::from_raw(width, height, pixels.clone()).unwrap();
        let mut expected = image::DynamicImage::ImageRgb8(image);
        expected.apply_orientation(image::metadata::Orientation::from_exif(number).unwrap_or(image::metadata::Orientation::NoTransforms));
        assert_eq!((found.0, found.1), (expected.width(), expected.height()), "{number}");
        assert!(found.2 == expected.into_rgb8().into_raw(), "orientation {number}");
        let (bare, _) = read(&open(&path).unwrap(), Wanted { pixels: false, ..ALL }).unwrap();
        assert_eq!((bare[0].width, bare[0].height), (found.0, found.1), "{number}");
    }
}

fn refusal(path: &Path, options: &MediaOptions) -> (String, String, String) {
    let error: Error = Media::open(path.to_str().unwrap(), options, &[]).expect_err("it is refused");
    (error.sqlstate().to_owned(), error.to_string(), error.hint().unwrap_or_default())
}

#[test]
fn what_cannot_be_read_is_refused_by_name_and_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let none = MediaOptions { default_decoder: DecoderChoice::Builtin, ..MediaOptions::default() };
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let is = |path: &Path, code: &str, says: &str, hint: &str| {
        let (found, message, way_out) = refusal(path, &none);
        assert_eq!((found.as_str(), message.contains(says), way_out.contains(hint)), (code, true, true), "{message} / {way_out}");
        assert!(message.contains(path.file_name().unwrap().to_str().unwrap()), "{message}");
    };
    is(&write("text.mp4", b"hello, this is no video at all"), "22023", "is not a video", "ffmpeg -i");
    is(&write("empty.mp4", b""), "22023", "is empty", "");
    is(&write("old.avi", b"RIFF\x10\0\0\0AVI LIST"), "0A000", "AVI", "ffmpeg -i");
    is(&folder.path().join("gone.mp4"), "58P01", "No such file", "");
    is(&write("broken.png", b"\x89PNG\r\n\x1a\nnothing"), "22023", "cannot be read", "");
    let main = std::fs::read(clip("main.mp4")).unwrap();
    let moov = main.windows(4).position(|w| w == b"moov").unwrap();
    is(&write("interrupted.mp4", &main[..moov - 4]), "22023", "index", "untrunc");
    let other = main.windows(4).rposition(|w| w == b"avc1").map(|at| [&main[..at], b"hvc1", &main[at + 4..]].concat()).unwrap();
    is(&write("newer.mp4", &other), "0A000", "H.265", "ffmpeg -i");
    is(&write("cut.mkv", &std::fs::read(clip("high.mkv")).unwrap()[..60]), "22023", "tracks", "");
    is(&write("dot.gif", b"GIF89a\x01\0\x01\0\0\0\0;"), "22023", "no video track", "");
    let nothing = tempfile::tempdir().unwrap();
    is(nothing.path(), "22023", "holds no picture", ".jpg");
    let (code, message, hint) = refusal(&clip("*.mp4"), &none);
    assert_eq!((code.as_str(), hint.contains("UNION ALL")), ("0A000", true), "{message}");
}

#[test]
fn an_option_that_does_not_belong_to_the_medium_is_refused() {
    let refused = |path: &str, options: MediaOptions, says: &str| {
        let (code, message, _) = refusal(Path::new(path), &options);
        assert_eq!((code.as_str(), message.contains(says)), ("22023", true), "{message}");
    };
    let video = clip("main.mp4");
    let (fps, seed) =
        (MediaOptions { fps: Some(5.0), ..MediaOptions::default() }, MediaOptions { seed: Some(1), ..MediaOptions::default() });
    refused(video.to_str().unwrap(), fps.clone(), "\"fps\"");
    refused(clip("moving.gif").to_str().unwrap(), fps.clone(), "\"fps\"");
    refused(clip("pictures").to_str().unwrap(), seed, "\"seed\"");
    refused(clip("pictures").to_str().unwrap(), MediaOptions { fps: Some(0.0), ..MediaOptions::default() }, "0 frames");
    let media = Media::open(clip("motion.mjpeg").to_str().unwrap(), &fps, &[]).unwrap();
    assert_eq!(media.info().duration_us, Some(2_000_000));
}

/// A copy of a clip with its bytes changed; the folder keeps it until it is dropped.
pub(crate) fn changed(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(Path::new(name).file_name().unwrap());
    let mut bytes = std::fs::read(clip(name)).unwrap();
    change(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn a_truncated_file_gives_the_pictures_that_are_in_it() {
    let golden = golden();
    // So many eighths of the file are kept; rows as ffprobe counts whole packets (Pillow: pictures of the GIF), pictures begun or named by an index and not there.
    let cases = [
        ("front.mp4", 4, 12, 28),
        ("fragmented.mp4", 4, 12, 12),
        ("high.mkv", 4, 10, 1),
        ("motion.mjpeg", 4, 4, 1),
        ("moving.gif", 4, 0, 1),
        ("moving.gif", 7, 5, 1),
    ];
    for (name, eighths, rows, missing) in cases {
        let (_folder, path) = changed(name, |bytes| bytes.truncate(bytes.len() * eighths / 8));
        let media = open(&path).unwrap();
        let (shots, counters) = read(&media, ALL).unwrap();
        assert_eq!((shots.len(), media.info().samples_missing, failed(&shots)), (rows, missing, 0), "{name}");
        assert_eq!(counters.frames_failed.get(), 0, "{name}");
        let expected = &golden[&format!("tests/media/{name}")];
        let right = shots.iter().filter(|s| expected.iter().any(|e| e.0 == s.pts_us && Some(e.4) == sum_of(s))).count();
        assert_eq!(right, rows, "{name}");
    }
}

#[test]
fn damage_costs_the_pictures_it_hits_and_no_row() {
    let samples = |name: &str| {
        let path = clip(name);
        let Contents::Track(track) = framesql::capture::container::open(&path, None).unwrap() else { panic!("{name} is no track") };
        track.samples
    };
    let golden = golden();
    // The coded bytes of one picture are overwritten from one on; (clip, sample, byte, rows, failed, pictures that may differ: up to the next keyframe).
    let cases = [
        ("front.mp4", 5, 0, 40, 1, 12),
        ("front.mp4", 14, 30, 40, 0, 12),
        ("high.mkv", 4, 0, 30, 1, 10),
        ("high.mkv", 11, 20, 30, 0, 10),
        ("motion.mov", 3, 0, 10, 1, 1),
        ("motion.mkv", 3, 0, 10, 1, 1),
        ("moving.gif", 4, 18, 10, 1, 6),
    ];
    for (name, hit, from, rows, n_failed, n_hit) in cases {
        let sample = samples(name)[hit];
        let (_folder, path) = changed(name, |bytes| bytes[sample.offset as usize + from..(sample.offset + sample.size) as usize].fill(0));
        let media = open(&path).unwrap();
        let (shots, counters) = read(&media, ALL).unwrap();
        assert_eq!((shots.len(), failed(&shots), counters.frames_failed.get()), (rows, n_failed, n_failed as u64), "{name}");
        let different = shots.iter().zip(&golden[&format!("tests/media/{name}")]).filter(|(s, g)| sum_of(s) != Some(g.4)).count();
        assert!((1..=n_hit).contains(&different), "{name}: {different} pictures differ");
        let (bare, counters) = read(&media, Wanted { pixels: false, ..ALL }).unwrap();
        assert_eq!((bare.len(), counters.frames_failed.get()), (rows, 0), "{name}");
    }
}

#[test]
fn no_change_of_bytes_makes_it_panic_or_rows_depend_on_what_is_read() {
    let mut n_read = 0;
    for (seed, name) in [
        "front.mp4",
        "main.mp4",
        "fragmented.mp4",
        "cut.mp4",
        "high.mkv",
        "motion.mkv",
        "motion.mov",
        "motion.mjpeg",
        "moving.gif",
        "disposed.gif",
    ]
    .into_iter()
    .chain(["pictures/p1.jpg", "pictures/p2.png", "pictures/p10.bmp", "pictures/p11.jpg"])
    .enumerate()
    {
        let mut random = fastrand::Rng::with_seed(seed as u64);
        for case in 0..60 {
            let (_folder, path) = changed(name, |bytes| {
                // The head of the file, its end, where many have their index, or anywhere.
                let n = bytes.len();
                let range = [0..n.min(200), n - n.min(1500)..n, 0..n][case % 3].clone();
                for _ in 0..random.usize(1..6) {
                    let at = random.usize(range.clone());
                    bytes[at] = if random.bool() { random.u8(..) } else { bytes[at] ^ 1 << random.u32(0..8) };
                }
                if random.u8(..) < 30 {
                    bytes.truncate(random.usize(0..n));
                }
            });
            let Ok(media) = open(&path) else { continue };
            let (bare, _) = read(&media, Wanted { pixels: false, ..ALL }).unwrap();
            let (full, counters) = read(&media, ALL).unwrap();
            let times = |shots: &[Shot]| shots.iter().map(|s| s.pts_us).collect::<Vec<_>>();
            assert_eq!(times(&bare), times(&full), "{name} case {case}");
            assert_eq!(counters.frames_failed.get(), failed(&full) as u64, "{name} case {case}");
            assert!(full.is_sorted_by_key(|s| s.pts_us), "{name} case {case}");
            n_read += full.len();
        }
    }
    // Most changes leave most of a file readable.
    assert!(n_read > 5_000, "{n_read}");
}
