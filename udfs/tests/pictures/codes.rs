//! Codes that lie askew or are light on dark: `read_codes` finds each, whole and where it lies.

use arrow::array::AsArray;
use framesql_udfs::frame::{Picture, PixelFormat};

use crate::call::{call, frames};
use crate::found::{boxes, codes, elements};
use crate::picture;

/// The side of a picture, px.
const SIDE: u32 = 640;
/// Bar codes: their bars as `#`, each of one module.
const BARS: [(&str, &str, &str); 3] = [
    ("ean_13", "4006381333931", "#.#...##.#.#..###.#.####.####.#...#..#.##..##.#.#.#....#.#....#.#....#.###.#..#....#.##..##.#.#"),
    ("code_128", "gate 3", "##.#..#....#..##.#....#..#.##....#..####.#..#.##..#....##.##..##..##..#.###..##..#..###.##...###.#.##"),
    ("itf", "12345678", "#.#.###.#...#.#.###...###.###.#...#.#...###.#...###...#.#.#...#.#.###...###.###.#"),
];
/// A Data Matrix that says "gate 3".
const SQUARE: [&str; 12] = [
    "#.#.#.#.#.#.",
    "#.#.#.##.###",
    "####....##..",
    "####.....###",
    "###......##.",
    "####...##..#",
    "##..#..###..",
    "#.#####.####",
    "##.###..#...",
    "#.##.###.#.#",
    "#.#..#....#.",
    "############",
];

/// The rows in the middle of a picture, `size` pixels wide and high, turned clockwise by so many degrees; `colors` are those of a module and of the ground.
fn drawn(rows: &[&str], size: (f32, f32), degrees: f32, colors: (u8, u8)) -> Picture {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let middle = SIDE as f32 / 2.0;
    let of = |x: f32, y: f32| {
        let (x, y) = (x - middle, y - middle);
        let (u, v) = ((x * cos + y * sin) / size.0 + 0.5, (y * cos - x * sin) / size.1 + 0.5);
        let row = rows.get((v * rows.len() as f32).floor() as usize).filter(|_| v >= 0.0 && u >= 0.0);
        let module = row.and_then(|row| row.as_bytes().get((u * row.len() as f32) as usize));
        f32::from(if module == Some(&b'#') { colors.0 } else { colors.1 })
    };
    let pixel = |at: u32| {
        let (x, y) = ((at % SIDE) as f32, (at / SIDE) as f32);
        let sum: f32 = (0..16).map(|n| of(x + 0.125 + (n % 4) as f32 / 4.0, y + 0.125 + (n / 4) as f32 / 4.0)).sum();
        // A little noise.
        (sum / 16.0) as u8 + (at.wrapping_mul(2_654_435_761) >> 29) as u8
    };
    picture(PixelFormat::Gray8, (SIDE, SIDE), &[(0..SIDE * SIDE).map(pixel).collect()])
}

/// The formats, texts and boxes in a picture.
fn read(picture: &Picture) -> Vec<(String, String, [f64; 4])> {
    let found = elements(&call("read_codes", &[frames(&[Some(picture)])]).unwrap());
    let column = |field: &str| found.column_by_name(field).unwrap().as_string::<i32>().clone();
    let (formats, texts) = (column("format"), column("text"));
    let each = formats.iter().zip(&texts).zip(boxes(&found));
    each.map(|((format, text), bbox)| (format.unwrap().to_owned(), text.unwrap().to_owned(), bbox)).collect()
}

const DARK: (u8, u8) = (20, 230);
const LIGHT: (u8, u8) = (220, 30);

#[test]
fn bar_codes_are_read_at_every_angle() {
    for (format, text, bars) in BARS {
        for (at, degrees) in [0.0_f32, 30.0, 45.0, 60.0, 90.0, 110.0, 135.0, 225.0].into_iter().enumerate() {
            let colors = if at % 2 == 0 { LIGHT } else { DARK };
            let length = bars.len() as f32 * 2.6;
            for colors in if degrees == 45.0 { vec![DARK, LIGHT] } else { vec![colors] } {
                let found = read(&drawn(&[bars], (length, 90.0), degrees, colors));
                let [(found_format, found_text, [x, y, w, h])] = found.as_slice() else {
                    panic!("{format} at {degrees} {colors:?}: {found:?}");
                };
                assert_eq!((found_format.as_str(), found_text.as_str()), (format, text), "at {degrees} {colors:?}");
                // A line across it, through its middle or beside it: of some formats from the middle of the first character to that of the last.
                let most = 0.16 * f64::from(length) + 1.0;
                let (sin, cos) = degrees.to_radians().sin_cos();
                let (wide, high) = (f64::from((length * cos).abs()), f64::from((length * sin).abs()));
                assert!((w - wide).abs() < most && (h - high).abs() < most, "{format} at {degrees}: {w} {h}");
                let (x, y) = (x + w / 2.0 - f64::from(SIDE / 2), y + h / 2.0 - f64::from(SIDE / 2));
                assert!(x.hypot(y) < 50.0, "{format} at {degrees}: {x} {y}");
            }
        }
    }
}

#[test]
fn light_squares_on_dark_are_read_as_dark_ones_are() {
    for degrees in [0.0, 30.0, 90.0] {
        for colors in [DARK, LIGHT] {
            let found = read(&drawn(&SQUARE, (120.0, 120.0), degrees, colors));
            let [(format, text, [x, y, w, h])] = found.as_slice() else { panic!("at {degrees} {colors:?}: {found:?}") };
            assert_eq!((format.as_str(), text.as_str()), ("data_matrix", "gate 3"), "at {degrees} {colors:?}");
            assert!((x + w / 2.0 - 320.0).abs() < 12.0 && (y + h / 2.0 - 320.0).abs() < 12.0, "at {degrees} {colors:?}: {x} {y} {w} {h}");
        }
    }
    let dark = codes();
    let light =
        picture(PixelFormat::Gray8, (dark.width, dark.height), &[dark.planes[0].as_ref().unwrap().iter().map(|v| 255 - v).collect()]);
    let (mut dark, mut light) = (read(&dark), read(&light));
    for found in [&mut dark, &mut light] {
        found.sort_by(|a, b| a.0.cmp(&b.0));
    }
    assert_eq!((light[0].0.as_str(), light[1].0.as_str()), ("ean_13", "qr_code"));
    for (a, b) in dark.iter().zip(&light) {
        let far = a.2.iter().zip(b.2).any(|(a, b)| (a - b).abs() > 40.0);
        assert!((&a.0, &a.1) == (&b.0, &b.1) && !far, "{a:?} {b:?}");
    }
}

#[test]
fn stripes_that_say_nothing_are_no_code() {
    for degrees in [0.0, 20.0, 45.0, 90.0] {
        let found = read(&drawn(&["#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#"], (400.0, 300.0), degrees, DARK));
        assert!(found.is_empty(), "at {degrees}: {found:?}");
    }
}
