//! The pictures of an animated GIF, each composed over those before it as its disposal says; what is transparent to the end is white.

use std::io::Cursor;

use datafusion::arrow::buffer::Buffer;
use framesql_udfs::frame::{ColorMatrix, ColorRange, Picture, PixelFormat};
use image::ImageDecoder;
use image::codecs::gif::GifDecoder;

use super::guarded;

/// Screens with more pixels are not decoded: four bytes each are needed for a moment.
const MOST_PIXELS: usize = 1 << 25;

/// What becomes of a picture before the next is drawn.
#[derive(Clone, Debug, Default)]
enum Disposal {
    /// It stays.
    #[default]
    Keep,
    /// Its rectangle is cleared.
    Clear { left: usize, top: usize, width: usize, height: usize },
    /// The screen is as it was before it.
    Restore(Vec<u8>),
}

/// The screen that pictures are drawn on, one after another.
#[derive(Debug)]
pub struct Gif {
    /// Header, screen and colours, which the decoder needs before every picture.
    head: Vec<u8>,
    size: (u32, u32),
    /// RGB; empty before the first picture.
    screen: Vec<u8>,
    disposal: Disposal,
}

/// A colour of nothing.
const CLEAR: u8 = 255;

impl Gif {
    /// `head` is what stands before the first picture's blocks.
    pub fn new(head: Vec<u8>, size: (u32, u32)) -> Gif {
        Gif { head, size, screen: Vec::new(), disposal: Disposal::Keep }
    }

    /// An empty screen.
    pub fn reset(&mut self) {
        self.screen.clear();
        self.disposal = Disposal::Keep;
    }

    /// Draws the picture whose blocks are given and gives the whole screen. Err leaves the screen as it was.
    pub fn decode(&mut self, blocks: &[u8]) -> Result<Picture, String> {
        let n_pixels = self.size.0 as usize * self.size.1 as usize;
        if n_pixels > MOST_PIXELS {
            return Err(format!("a GIF of {}x{} pixels is too large", self.size.0, self.size.1));
        }
        let (control, rectangle) = described(blocks)?;
        let file = [&self.head[..], blocks, &[0x3b]].concat();
        let drawn = guarded(|| {
            let decoder = GifDecoder::new(Cursor::new(file)).map_err(|e| e.to_string())?;
            if decoder.total_bytes() != n_pixels as u64 * 4 {
                return Err("its screen is not the one of its file".to_owned());
            }
            let mut drawn = vec![0; n_pixels * 4];
            decoder.read_image(&mut drawn).map_err(|e| e.to_string())?;
            Ok(drawn)
        })?;
        self.dispose(n_pixels);
        self.disposal = match control >> 2 & 7 {
            2 => rectangle,
            3 => Disposal::Restore(self.screen.clone()),
            _ => Disposal::Keep,
        };
        for (pixel, [r, g, b, alpha]) in self.screen.as_chunks_mut::<3>().0.iter_mut().zip(drawn.as_chunks::<4>().0) {
            if *alpha != 0 {
                *pixel = [*r, *g, *b];
            }
        }
        Ok(Picture {
            format: PixelFormat::Rgb8,
            width: self.size.0,
            height: self.size.1,
            range: ColorRange::Full,
            matrix: ColorMatrix::Bt601,
            rotation: 0,
            planes: [Some(Buffer::from_vec(self.screen.clone())), None, None],
        })
    }

    /// Makes the screen ready for the next picture.
    fn dispose(&mut self, n_pixels: usize) {
        match std::mem::take(&mut self.disposal) {
            Disposal::Keep => {}
            Disposal::Clear { left, top, width, height } => {
                let stride = self.size.0 as usize * 3;
                for row in self.screen.chunks_exact_mut(stride.max(1)).skip(top).take(height) {
                    let end = (left + width).saturating_mul(3).min(row.len());
                    row.get_mut(left * 3..end).unwrap_or_default().fill(CLEAR);
                }
            }
            Disposal::Restore(screen) => self.screen = screen,
        }
        self.screen.resize(n_pixels * 3, CLEAR);
    }
}

/// The packed field of the control block (0 without one), and the rectangle that is cleared if the disposal says so.
fn described(mut blocks: &[u8]) -> Result<(u8, Disposal), String> {
    let cut = || "its blocks are damaged".to_owned();
    let mut control = 0;
    loop {
        match blocks {
            [0x21, label, rest @ ..] => {
                if let (0xf9, [_, packed, ..]) = (label, rest) {
                    control = *packed;
                }
                blocks = rest;
                while let [n, rest @ ..] = blocks
                    && *n > 0
                {
                    blocks = rest.get(usize::from(*n)..).ok_or_else(cut)?;
                }
                blocks = blocks.get(1..).ok_or_else(cut)?;
            }
            [0x2c, l0, l1, t0, t1, w0, w1, h0, h1, ..] => {
                let side = |low: &u8, high: &u8| usize::from(u16::from_le_bytes([*low, *high]));
                return Ok((control, Disposal::Clear { left: side(l0, l1), top: side(t0, t1), width: side(w0, w1), height: side(h0, h1) }));
            }
            _ => return Err(cut()),
        }
    }
}
