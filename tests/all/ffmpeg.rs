//! Pictures through an ffmpeg child: the same as the built-in decoder's, other codecs and containers as ffmpeg itself decodes them, and a child that dies, hangs on or is not there.
//!
//! Where there is no ffmpeg on PATH, what needs one asserts the refusal; each test prints which way it took.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use framesql::error::{Error, Result};
use framesql::frame::reader::{Media, MediaOptions, Shot, Wanted};
use framesql::settings::DecoderChoice;

use crate::files;
use crate::media::{ALL, changed, clip, failed, golden, read, root, sum, sum_of};

const FFMPEG: MediaOptions = MediaOptions {
    fps: None,
    size: None,
    frames: None,
    boxes: None,
    seed: None,
    decoder: Some(DecoderChoice::Ffmpeg),
    default_decoder: DecoderChoice::Auto,
    ffmpeg: None,
};

fn open(path: &Path, options: &MediaOptions) -> Result<Arc<Media>> {
    Media::open(path.to_str().unwrap(), options, &[]).map(Arc::new)
}

fn auto() -> MediaOptions {
    MediaOptions { decoder: Some(DecoderChoice::Auto), ..FFMPEG }
}

fn error(path: &Path, options: &MediaOptions) -> (String, String, String) {
    let error: Error = open(path, options).expect_err("it is refused");
    (error.sqlstate().to_owned(), error.to_string(), error.hint().unwrap_or_default())
}

/// Whether there is an ffmpeg to test with. Where there is none, that it is asked for is refused.
fn there(test: &str) -> bool {
    let there = Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    eprintln!("{test}: {}", if there { "with ffmpeg" } else { "there is no ffmpeg on PATH, the refusal is tested" });
    if !there {
        let (code, message, hint) = error(&clip("main.mp4"), &FFMPEG);
        assert_eq!((code.as_str(), message.contains("\"ffmpeg\""), hint.contains("Install")), ("58P01", true, true), "{message}");
    }
    there
}

#[test]
fn every_h264_clip_has_the_same_pictures_through_ffmpeg() {
    if !there("h264") {
        return;
    }
    let mut n_clips = 0;
    for (name, expected) in golden() {
        let media = open(&root().join(&name), &FFMPEG).unwrap();
        if media.info().codec != "h264" {
            continue;
        }
        n_clips += 1;
        let (shots, counters) = read(&media, ALL).unwrap();
        let found: Vec<_> = shots.iter().map(|s| (s.pts_us, s.keyframe, sum_of(s))).collect();
        assert_eq!(found, expected.iter().map(|g| (g.0, g.3, Some(g.4))).collect::<Vec<_>>(), "{name}");
        assert_eq!((counters.frames_failed.get(), counters.bytes_copied.get()), (0, 0), "{name}");
        let look = |s: &Shot| s.picture.as_ref().map(|p| (p.format, p.width, p.height, p.range, p.matrix, p.rotation));
        let builtin = open(&root().join(&name), &MediaOptions { decoder: Some(DecoderChoice::Builtin), ..FFMPEG }).unwrap();
        let (first, _) = read(&builtin, Wanted { to_frame_no: Some(0), ..ALL }).unwrap();
        assert_eq!(look(&shots[0]), look(&first[0]), "{name}");
    }
    assert!(n_clips >= 11, "{n_clips}");
}

#[test]
fn a_seek_through_ffmpeg_gives_the_same_picture() {
    if !there("seek") {
        return;
    }
    for name in ["main.mp4", "open.mp4", "high.mkv", "cut.mp4"] {
        let media = open(&clip(name), &FFMPEG).unwrap();
        let expected = &golden()[&format!("tests/media/{name}")];
        for at in (0..expected.len()).step_by(5) {
            let (one, _) = read(&media, Wanted { from_frame_no: Some(at as i64), to_frame_no: Some(at as i64), ..ALL }).unwrap();
            assert_eq!((one.len(), sum_of(&one[0])), (1, Some(expected[at].4)), "{name}#{at}");
        }
        let (keyframes, counters) = read(&media, Wanted { keyframes_only: true, ..ALL }).unwrap();
        assert_eq!((failed(&keyframes), counters.frames_demuxed.get()), (0, keyframes.len() as u64), "{name}");
    }
    // From the first frame to the last with a child that leaves out what is between: the bundled clip has a keyframe every 50.
    let media = open(&root().join("media/lobby.mp4"), &FFMPEG).unwrap();
    let (late, counters) = read(&media, Wanted { from_frame_no: Some(260), to_frame_no: Some(262), ..ALL }).unwrap();
    let expected: Vec<_> = golden()["media/lobby.mp4"][260..263].iter().map(|g| Some(g.4)).collect();
    assert_eq!(late.iter().map(sum_of).collect::<Vec<_>>(), expected);
    assert!(counters.frames_demuxed.get() <= 50, "{}", counters.frames_demuxed.get());
}

#[test]
fn damage_costs_no_row_and_no_error_through_ffmpeg() {
    if !there("damage") {
        return;
    }
    for (name, from, to) in [("front.mp4", 3000, 4000), ("high.mkv", 2000, 2600), ("baseline.mp4", 1000, 1500)] {
        let (_folder, path) = changed(name, |bytes| bytes[from..to].fill(0));
        let media = open(&path, &FFMPEG).unwrap();
        let (bare, _) = read(&media, Wanted { pixels: false, ..ALL }).unwrap();
        let (shots, counters) = read(&media, ALL).unwrap();
        assert_eq!((bare.len(), failed(&shots) as u64), (shots.len(), counters.frames_failed.get()), "{name}");
        let golden = &golden()[&format!("tests/media/{name}")];
        let right = shots.iter().filter(|s| golden.iter().any(|g| g.0 == s.pts_us && Some(g.4) == sum_of(s))).count();
        // A picture is never shown in the row of another: what is right by its time is most of them.
        assert!(right >= shots.len() / 4 && right < shots.len(), "{name}: {right} of {}", shots.len());
    }
    // Nothing of it can be decoded: the rows are there, their frames are NULL or what ffmpeg made of them.
    let (_folder, path) = changed("baseline.mp4", |bytes| {
        let mdat = bytes.windows(4).position(|w| w == b"mdat").unwrap();
        let moov = bytes.windows(4).position(|w| w == b"moov").unwrap();
        let end = if moov > mdat { moov - 4 } else { bytes.len() };
        bytes[mdat + 4..end].fill(0);
    });
    let (shots, counters) = read(&open(&path, &FFMPEG).unwrap(), ALL).unwrap();
    assert_eq!((shots.len(), counters.frames_failed.get()), (25, 25));
}

/// Writes a clip in another codec or container. None if this ffmpeg has no encoder for it.
fn transcoded(folder: &Path, name: &str, arguments: &[&str]) -> Option<PathBuf> {
    let path = folder.join(name);
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(clip("main.mp4"))
        .args(["-an", "-g", "10"])
        .args(arguments)
        .arg(format!("file:{}", path.display()))
        .output()
        .unwrap();
    if made.status.success() {
        return Some(path);
    }
    eprintln!("{name} is left out: {}", String::from_utf8_lossy(&made.stderr).lines().next().unwrap_or_default());
    None
}

/// The sum of every picture as ffmpeg itself decodes the file, in display order.
fn sums(path: &Path, n_pixels: usize) -> Vec<u32> {
    let decode = |passthrough: &str| {
        Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-noautorotate", "-i"])
            .arg(format!("file:{}", path.display()))
            .args(["-map", "0:v:0", passthrough, "passthrough", "-vf", "format=yuv420p|yuvj420p", "-f", "rawvideo", "-"])
            .output()
            .unwrap()
    };
    // The option has two names, of which old versions know the second and new ones the first.
    let run = Some(decode("-fps_mode")).filter(|run| run.status.success()).unwrap_or_else(|| decode("-vsync"));
    let picture = |bytes: &[u8]| {
        use framesql_udfs::frame::{ColorMatrix, ColorRange, Picture, PixelFormat};
        let planes = [Some(bytes.to_vec().into()), None, None];
        let (range, matrix) = (ColorRange::Full, ColorMatrix::Bt601);
        sum(&Picture { format: PixelFormat::I420, width: 0, height: 0, range, matrix, rotation: 0, planes })
    };
    run.stdout.chunks(n_pixels * 3 / 2).map(picture).collect()
}

#[test]
fn other_codecs_and_containers_are_what_ffmpeg_decodes() {
    let folder = tempfile::tempdir().unwrap();
    if !there("codecs") {
        let avi = folder.path().join("old.avi");
        std::fs::write(&avi, b"RIFF\x10\0\0\0AVI LIST").unwrap();
        let (code, message, hint) = error(&avi, &auto());
        assert_eq!((code.as_str(), message.contains("an AVI file"), hint.contains("Install ffmpeg")), ("0A000", true, true), "{hint}");
        return;
    }
    let cases: [(&str, &str, &str, &[&str]); 15] = [
        ("p2.avi", "avi", "mpeg4", &["-c:v", "mpeg4", "-bf", "2"]),
        ("-i p 100%d:\"'.avi", "avi", "mpeg4", &["-c:v", "mpeg4"]),
        ("p2.mp4", "mp4", "mpeg4", &["-c:v", "mpeg4", "-bf", "2"]),
        ("p2.mkv", "mkv", "mpeg4", &["-c:v", "mpeg4", "-bf", "2"]),
        ("m.ts", "mpegts", "mpeg2video", &["-c:v", "mpeg2video", "-bf", "2"]),
        ("m.mpg", "mpeg", "mpeg2video", &["-c:v", "mpeg2video", "-bf", "2"]),
        ("f.flv", "flv", "flv1", &["-c:v", "flv"]),
        ("w.wmv", "asf", "wmv2", &["-c:v", "wmv2"]),
        ("p.mov", "mp4", "prores", &["-c:v", "prores"]),
        ("l.mkv", "mkv", "ffv1", &["-c:v", "ffv1"]),
        ("h.mp4", "mp4", "h265", &["-c:v", "libx265", "-x265-params", "log-level=none"]),
        ("h.mkv", "mkv", "h265", &["-c:v", "libx265", "-x265-params", "log-level=none"]),
        ("v8.webm", "mkv", "vp8", &["-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "8", "-b:v", "100k"]),
        ("v9.webm", "mkv", "vp9", &["-c:v", "libvpx-vp9", "-lag-in-frames", "8", "-b:v", "100k"]),
        ("t.ts", "mpegts", "h264", &["-c:v", "copy"]),
    ];
    let mut n_read = 0;
    for (name, container, codec, arguments) in cases {
        let Some(path) = transcoded(folder.path(), name, arguments) else { continue };
        let media = open(&path, &auto()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let info = media.info();
        assert_eq!((info.container, info.codec.as_str(), info.width, info.height), (container, codec, 160, 90), "{name}");
        let (bare, counters) = read(&media, Wanted { pixels: false, ..ALL }).unwrap();
        assert_eq!((info.n_rows, counters.frames_demuxed.get(), counters.frames_decoded.get()), (Some(bare.len() as u64), 0, 0), "{name}");
        let (shots, counters) = read(&media, ALL).unwrap();
        let row = |s: &Shot| (s.frame_no, s.pts_us, s.width, s.height, s.keyframe);
        assert_eq!(bare.iter().map(row).collect::<Vec<_>>(), shots.iter().map(row).collect::<Vec<_>>(), "{name}");
        assert_eq!((counters.frames_failed.get(), failed(&shots)), (0, 0), "{name}");
        assert_eq!(shots.iter().map(sum_of).collect::<Vec<_>>(), sums(&path, 160 * 90).into_iter().map(Some).collect::<Vec<_>>(), "{name}");
        assert!(shots[0].keyframe && shots[0].pts_us == 0 && shots.is_sorted_by_key(|s| s.pts_us), "{name}");
        let at = shots.len() as i64 - 3;
        let (one, _) = read(&media, Wanted { from_frame_no: Some(at), to_frame_no: Some(at), ..ALL }).unwrap();
        assert_eq!(one.iter().map(sum_of).collect::<Vec<_>>(), [sum_of(&shots[at as usize])], "{name}");
        // Without ffmpeg it stays refused.
        let (code, message, hint) = error(&path, &MediaOptions { decoder: Some(DecoderChoice::Builtin), ..FFMPEG });
        assert_eq!((code.as_str(), hint.contains("builtin") && hint.contains("ffmpeg -i")), ("0A000", true), "{message} {hint}");
        n_read += 1;
    }
    // What ffmpeg encodes without other libraries.
    assert!(n_read >= 10, "{n_read}");
}

#[test]
fn a_program_that_is_missing_or_no_ffmpeg_is_named() {
    let program = |path: &str| MediaOptions { ffmpeg: Some(path.into()), ..FFMPEG };
    let (code, message, hint) = error(&clip("main.mp4"), &program("/nowhere/ffmpeg"));
    assert_eq!((code.as_str(), message.as_str()), ("58P01", "could not start program \"/nowhere/ffmpeg\": No such file or directory"));
    assert!(hint.contains("FRAMESQL_FFMPEG") && hint.contains("builtin"), "{hint}");
    let (code, message, _) = error(&clip("main.mp4"), &program("echo"));
    assert_eq!((code.as_str(), message.as_str()), ("55000", "program \"echo\" is not ffmpeg"));
    // Nothing is started for what is decoded here.
    assert!(open(&clip("main.mp4"), &MediaOptions { decoder: None, ..program("/nowhere/ffmpeg") }).is_ok());
    assert!(open(&clip("moving.gif"), &program("/nowhere/ffmpeg")).is_ok());
    let (code, message, _) = error(&clip("pictures"), &FFMPEG);
    assert_eq!((code.as_str(), message.as_str()), ("22023", "option \"decoder\" is only for videos"));
}

#[cfg(unix)]
mod scripts {
    //! Programs that answer like ffmpeg and then do not behave like it.

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A source whose ffmpeg is a shell script: `then` is what it does instead of decoding. The folder keeps the script.
    fn media(then: &str) -> (tempfile::TempDir, Result<Arc<Media>>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ffmpeg");
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = -version ]; then echo 'ffmpeg version 6.0 of a test'; exit; fi\necho $$ > '{}'\n{then}\n",
            folder.path().join("pid").display()
        );
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let media = open(&clip("main.mp4"), &MediaOptions { ffmpeg: Some(path), ..FFMPEG });
        (folder, media)
    }

    #[test]
    fn a_child_that_dies_is_an_error_that_names_it() {
        for (then, says) in [
            ("echo 'no codec today' >&2; exit 3", "exit status: 3): no codec today"),
            ("kill -9 $$", "signal: 9"),
            ("printf 'nut/multimedia container\\000NM'", "it ended within a picture"),
            ("echo this is no nut file at all, whatever it says; exec cat >/dev/null", "does not begin like a NUT file"),
        ] {
            let (folder, media) = media(then);
            let error = read(&media.unwrap(), ALL).expect_err("it died");
            let message = error.to_string();
            assert_eq!((error.sqlstate(), message.contains(says)), ("58030", true), "{message}");
            assert!(message.contains("main.mp4") && message.contains(&*folder.path().to_string_lossy()), "{message}");
        }
    }

    #[test]
    fn a_child_that_gives_nothing_leaves_null_frames() {
        let (_folder, media) = media("exec cat >/dev/null");
        let (shots, counters) = read(&media.unwrap(), ALL).unwrap();
        assert_eq!((shots.len(), failed(&shots), counters.frames_failed.get()), (40, 40, 40));
    }

    #[test]
    fn a_reader_that_is_dropped_ends_its_child() {
        if !there("drop") {
            return;
        }
        let (folder, media) = media("exec ffmpeg \"$@\"");
        let mut reader = media.unwrap().read(ALL, Arc::default()).unwrap();
        assert!(reader.next().unwrap().unwrap().picture.is_some());
        let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
        let alive = || Command::new("sh").arg("-c").arg(format!("kill -0 {pid}")).stderr(Stdio::null()).status().unwrap().success();
        drop(reader);
        assert!(!alive(), "{pid} is still there");
    }

    #[test]
    fn an_old_ffmpeg_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ffmpeg");
        std::fs::write(&path, "#!/bin/sh\necho 'ffmpeg version 3.4.11-0ubuntu0.1 Copyright'\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (code, message, hint) = error(&clip("main.mp4"), &MediaOptions { ffmpeg: Some(path), ..FFMPEG });
        assert_eq!((code.as_str(), message.contains("is ffmpeg 3.4, which is too old"), hint.contains("4.4")), ("55000", true, true));
    }
}

/// Runs `framesql run` on a script with some of its environment changed; what it printed, and its errors.
fn program(sql: &str, environment: &[(&str, &str)]) -> (String, String) {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_framesql"))
        .current_dir(files::root())
        .args(["run", "-", "--format", "csv"])
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap())
}

#[test]
fn the_environment_chooses_the_decoder_and_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let avi = folder.path().join("old.avi");
    std::fs::write(&avi, b"RIFF\x10\0\0\0AVI LIST").unwrap();
    let old = format!("CREATE SOURCE s FROM '{}';", avi.display());
    let faces = "CREATE SOURCE s FROM 'media/lobby.mp4'; SELECT sum(cardinality(detect_faces(frame))) FROM s WHERE frame_no < 20;";
    // No program is on an empty PATH.
    let (_, errors) = program(&old, &[("PATH", "")]);
    assert!(errors.contains("an AVI file, which framesql does not read") && errors.contains("Install ffmpeg"), "{errors}");
    let (builtin, errors) = program(faces, &[("PATH", "")]);
    assert!(errors.is_empty() && builtin.lines().count() == 2, "{builtin}{errors}");
    let (_, errors) = program(faces, &[("PATH", ""), ("FRAMESQL_DECODER", "ffmpeg")]);
    assert!(errors.contains("could not start program \"ffmpeg\""), "{errors}");
    let (_, errors) = program(faces, &[("FRAMESQL_DECODER", "fast")]);
    assert!(errors.contains("FRAMESQL_DECODER") && errors.contains("auto, builtin, ffmpeg"), "{errors}");
    let (_, errors) = program(&old, &[("FRAMESQL_FFMPEG", "/nowhere/ffmpeg")]);
    assert!(errors.contains("could not start program \"/nowhere/ffmpeg\""), "{errors}");
    if there("environment") {
        let (through, errors) = program(faces, &[("FRAMESQL_DECODER", "ffmpeg")]);
        assert_eq!((through.as_str(), errors.as_str()), (builtin.as_str(), ""));
    }
}
