//! The questions of queries/driving over a drawn road and the rows of its vehicle: their answers, and that they are the same continuously.

use std::fmt::Write;
use std::path::Path;

use framesql::settings::Settings;
use image::{GrayImage, Luma};

use crate::{answers, questions};

/// Frames of the drive, ten a second.
const N_FRAMES: u32 = 60;

/// How far right of the lane's middle the car is, of the lane's width: twice to the left, with the indicator the second time.
fn off(frame: u32) -> f64 {
    match frame {
        10..20 => f64::from(frame - 10) * -0.03,
        20..25 => -0.3,
        40..55 => -0.25,
        _ => 0.0,
    }
}

/// A grey road with two white lines that meet at the horizon.
fn road(off: f64) -> GrayImage {
    let (width, height, lane) = (640_u32, 360_u32, 360.0);
    let horizon = f64::from(height) * 0.55;
    let middle = f64::from(width - 1) / 2.0;
    GrayImage::from_fn(width, height, |x, y| {
        let (x, y) = (f64::from(x), f64::from(y));
        if y < horizon {
            return Luma([180]);
        }
        let near = (y - horizon) / (f64::from(height) - 1.0 - horizon);
        let line = |side: f64| middle + (side - off) * lane * near;
        let white = [-0.5, 0.5].iter().any(|side| (x - line(*side)).abs() < 1.0 + 6.0 * near);
        Luma([if white { 240 } else { 70 }])
    })
}

fn ts(tenth: u32) -> String {
    format!("2026-05-01T12:00:{:02}.{}Z", tenth / 10, tenth % 10)
}

/// The road as pictures, what the vehicle says of itself, and one that is ahead and comes nearer.
fn write(folder: &Path) {
    let (mut vehicle, mut ahead) = ("ts,speed,indicator\n".to_owned(), "ts,track_id,x,y,w,h\n".to_owned());
    for tenth in 0..N_FRAMES {
        road(off(tenth)).save(folder.join(format!("{tenth:03}.png"))).unwrap();
        let indicator = if (35..58).contains(&tenth) { "left" } else { "off" };
        writeln!(vehicle, "{},{},{indicator}", ts(tenth), 20.0 + f64::from(tenth % 3)).unwrap();
        // 60 m at first, 5 m/s nearer: a car of 1.5 m at 800 px.
        let height = 1.5 * 800.0 / (60.0 - 0.5 * f64::from(tenth));
        writeln!(ahead, "{},7,300,{},{},{height}", ts(tenth), 250.0 - height, height * 1.2).unwrap();
    }
    std::fs::write(folder.join("vehicle.csv"), vehicle).unwrap();
    std::fs::write(folder.join("ahead.csv"), ahead).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_of_a_drive_has_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let (engine, session) = answers::open(Settings { files: vec![folder.path().to_owned()], ..Settings::default() }).await;
    let at = folder.path().display();
    answers::run(
        &session,
        &format!(
            "CREATE SOURCE road FROM 'file://{at}/*.png' WITH (fps = 10, start_ts = '2026-05-01 12:00:00+00');
             CREATE SOURCE vehicle FROM 'file://{at}/vehicle.csv' WITH (event_time = 'ts', watermark_delay = '1 s');
             CREATE SOURCE ahead FROM 'file://{at}/ahead.csv' WITH (event_time = 'ts', watermark_delay = '1 s')"
        ),
    )
    .await;
    questions::ask(&session, "queries/driving", 11, N_FRAMES.into()).await;
    engine.shutdown().await;
}
