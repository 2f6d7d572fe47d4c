//! H.264 samples to I420 pictures: each sample gives its own picture at once, so that the container's times put them in order.

use std::panic::{AssertUnwindSafe, catch_unwind};

use datafusion::arrow::buffer::Buffer;
use framesql_udfs::frame::{ColorMatrix, ColorRange, Picture, PixelFormat};
use framesql_udfs::orientation::Orientation;
use rust_h264::decoder::{ChromaFormat, Decoder, Frame};
use rust_h264::nal::{NalUnitType, SpsInfo, parse_avcc, parse_avcc_config, parse_sps_info};

use super::guarded;
use crate::metrics::SourceCounters;

/// A decoder at some place of a stream.
pub struct H264 {
    decoder: Decoder,
    config: Vec<u8>,
    length_size: usize,
    range: ColorRange,
    matrix: ColorMatrix,
    orientation: Orientation,
}

impl std::fmt::Debug for H264 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("H264").finish_non_exhaustive()
    }
}

/// A picture of more pixels than this is not decoded: 8K has half of it, and damage may name any size.
const MOST_PIXELS: u64 = 1 << 26;

/// What the parameter sets say before a picture is decoded.
#[derive(Clone, Copy, Debug)]
pub struct Parameters {
    /// Width and height.
    pub size: (u32, u32),
    /// Whether its pictures are I420 of 8 bits as they are coded: every decoder gives the same bytes.
    pub plain: bool,
    /// The range of luma.
    pub range: ColorRange,
    /// The matrix of chroma.
    pub matrix: ColorMatrix,
}

impl Parameters {
    fn of(info: &SpsInfo) -> Parameters {
        let matrix = match info.matrix {
            1 => ColorMatrix::Bt709,
            4..=7 => ColorMatrix::Bt601,
            9 | 10 => ColorMatrix::Bt2020,
            // Not said: as players guess, by the height.
            _ if info.height >= 720 => ColorMatrix::Bt709,
            _ => ColorMatrix::Bt601,
        };
        Parameters {
            size: (info.width, info.height),
            plain: info.chroma_format == 1 && info.bit_depth_luma == 8 && info.bit_depth_chroma == 8,
            range: if info.full_range { ColorRange::Full } else { ColorRange::Limited },
            matrix,
        }
    }
}

/// Reads the first parameter set; None if they stand in the stream. Err names a kind that is not decoded.
pub fn check(config: &[u8]) -> Result<Option<Parameters>, String> {
    let mut first = None;
    guarded(|| {
        let config = parse_avcc_config(config).map_err(|e| format!("H.264 with parameters that cannot be read ({e})"))?;
        for nal in &config.sps_nals {
            let info = parse_sps_info(nal).map_err(|e| format!("H.264 with parameters that cannot be read ({e})"))?;
            if info.chroma_format > 2 {
                return Err(format!("H.264 with 4:4:4 chroma (profile {})", info.profile));
            }
            if u64::from(info.coded_width) * u64::from(info.coded_height) > MOST_PIXELS {
                return Err(format!("H.264 of {}x{} pixels", info.coded_width, info.coded_height));
            }
            first.get_or_insert(Parameters::of(&info));
        }
        Ok(())
    })?;
    Ok(first)
}

impl H264 {
    /// `config` is the payload of an avcC box; `orientation` is how the pictures are held.
    pub fn new(config: &[u8], orientation: Orientation) -> H264 {
        let mut h264 = H264 {
            decoder: Decoder::new(),
            config: config.to_vec(),
            length_size: 4,
            range: ColorRange::Limited,
            matrix: ColorMatrix::Bt709,
            orientation,
        };
        h264.reset();
        h264
    }

    /// Forgets all pictures: the next sample is a keyframe.
    pub fn reset(&mut self) {
        self.decoder = Decoder::new();
        let Ok(config) = parse_avcc_config(&self.config) else { return };
        self.length_size = config.length_size;
        for nal in config.sps_nals.iter().chain(&config.pps_nals) {
            if nal.nal_unit_type == NalUnitType::Sps
                && let Ok(info) = parse_sps_info(nal)
            {
                let parameters = Parameters::of(&info);
                (self.range, self.matrix) = (parameters.range, parameters.matrix);
            }
            // A parameter set that cannot be read shows in the pictures that need it.
            let _ = self.decoder.decode_nal(nal);
        }
    }

    /// The picture of one sample, the samples in decoding order. Err is why there is none.
    pub fn decode(&mut self, sample: &[u8], counters: &SourceCounters) -> Result<Picture, String> {
        // The decoder is young: damage that makes it panic costs a picture, not the query.
        let decoded = catch_unwind(AssertUnwindSafe(|| {
            let mut first_error = None;
            let mut newest = None;
            for nal in parse_avcc(sample, self.length_size) {
                match self.decoder.decode_nal(&nal) {
                    Ok(frame) => newest = frame.or(newest),
                    Err(e) => first_error = first_error.or(Some(e.to_string())),
                }
            }
            // A sample is a whole picture, so the decoder need not wait for the next to know that it has ended.
            self.decoder.flush().or(newest).ok_or_else(|| first_error.unwrap_or_else(|| "the sample holds no picture".to_owned()))
        }));
        match decoded {
            Ok(frame) => {
                let frame = frame?;
                Ok(self.picture(frame, counters))
            }
            Err(_) => {
                self.reset();
                Err("the decoder gave up".to_owned())
            }
        }
    }

    fn picture(&self, frame: Frame, counters: &SourceCounters) -> Picture {
        let (width, height) = (frame.width, frame.height);
        let (chroma_width, full_chroma) = (frame.chroma_width() as usize, frame.chroma_format == ChromaFormat::Yuv422);
        let deep = frame.bit_depth > 8;
        let shift = u32::from(frame.bit_depth.saturating_sub(8));
        let reduce = |plane: Vec<u8>| {
            if !deep {
                return plane;
            }
            let half = 1_u16 << shift >> 1;
            let reduced: Vec<u8> =
                plane.as_chunks::<2>().0.iter().map(|b| ((u16::from_le_bytes(*b).saturating_add(half)) >> shift).min(255) as u8).collect();
            counters.bytes_copied.add(reduced.len() as u64);
            reduced
        };
        let thin = |plane: Vec<u8>| {
            if !full_chroma || chroma_width == 0 {
                return plane;
            }
            // 4:2:2 to 4:2:0: the mean of two rows.
            let mut thinned = Vec::with_capacity(plane.len() / 2 + chroma_width);
            for rows in plane.chunks(2 * chroma_width) {
                let (upper, lower) = rows.split_at(chroma_width.min(rows.len()));
                let lower = if lower.is_empty() { upper } else { lower };
                thinned.extend(upper.iter().zip(lower).map(|(a, b)| (u16::from(*a) + u16::from(*b)).div_ceil(2) as u8));
            }
            counters.bytes_copied.add(thinned.len() as u64);
            thinned
        };
        let plane = |bytes: Vec<u8>| Some(Buffer::from_vec(bytes));
        self.orientation.held(Picture {
            format: PixelFormat::I420,
            width,
            height,
            range: self.range,
            matrix: self.matrix,
            rotation: 0,
            planes: [plane(reduce(frame.y)), plane(thin(reduce(frame.u))), plane(thin(reduce(frame.v)))],
        })
    }
}
