//! YuNet's convolutions: weights laid out for the kernels, and rows pulled through the graph so that most of it stays in the cache.

use super::kernels::{Isa, Mode};

/// Floats in the weights file.
const N_WEIGHTS: usize = 53_104;

/// A run of floats that starts on a cache line.
#[derive(Default)]
struct Aligned {
    floats: Vec<f32>,
    start: usize,
    length: usize,
}

impl Aligned {
    fn new(length: usize) -> Aligned {
        let floats = vec![0.0; length + 15];
        Aligned { start: floats.as_ptr().align_offset(64).min(15), floats, length }
    }

    fn from(values: &[f32]) -> Aligned {
        let mut aligned = Aligned::new(values.len());
        aligned.copy_from_slice(values);
        aligned
    }
}

impl std::ops::Deref for Aligned {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.floats[self.start..self.start + self.length]
    }
}

impl std::ops::DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.floats[self.start..self.start + self.length]
    }
}

/// One pointwise and one depthwise convolution.
struct Unit {
    /// Whose output it reads; 0 is the stem.
    source: usize,
    /// Whose output is added to that, upsampled by 2.
    upsampled: Option<usize>,
    n_in: usize,
    n_out: usize,
    mode: Mode,
    /// Whether others read the whole plane later; else 4 rows are kept.
    keep: bool,
    pointwise: Aligned,
    pointwise_bias: Aligned,
    depthwise: Aligned,
    depthwise_bias: Aligned,
}

/// The weights, laid out for the kernels.
pub(super) struct Weights {
    stem: Aligned,
    stem_bias: Aligned,
    units: Vec<Unit>,
}

impl Weights {
    /// `floats`: the 53 convolutions in graph order, each weight [out][in][ky][kx] and then its bias. None if there are too few.
    pub(super) fn new(floats: &[f32]) -> Option<Weights> {
        if floats.len() != N_WEIGHTS {
            return None;
        }
        let mut at = 0;
        let mut take = |n: usize| {
            at += n;
            &floats[at - n..at]
        };
        let (stem_file, stem_bias) = (take(432), Aligned::from(take(16)));
        let mut stem = Aligned::new(432);
        for out in 0..16 {
            for channel in 0..3 {
                for k in 0..9 {
                    stem[(k * 3 + channel) * 16 + out] = stem_file[out * 27 + channel * 9 + k];
                }
            }
        }
        use Mode::{Both, Linear, Pool, Relu};
        let table = [
            (0, 16, 16, Pool),
            (1, 16, 16, Relu),
            (2, 16, 32, Relu),
            (3, 32, 32, Relu),
            (4, 32, 64, Pool),
            (5, 64, 64, Relu),
            (6, 64, 64, Both),
            (7, 64, 64, Relu),
            (8, 64, 64, Both),
            (9, 64, 64, Relu),
            (10, 64, 64, Relu),
            (11, 64, 64, Relu),
            (9, 64, 64, Relu),
            (7, 64, 64, Relu),
            (14, 64, 16, Linear),
            (13, 64, 16, Linear),
            (12, 64, 16, Linear),
        ];
        let unit = |(at, &(source, n_in, n_out, mode)): (usize, &(usize, usize, usize, Mode))| Unit {
            source,
            upsampled: if at == 12 || at == 13 { Some(at) } else { None },
            n_in,
            n_out,
            mode,
            keep: ![0, 1, 2, 3, 4, 5, 7, 9, 13].contains(&at),
            pointwise: Aligned::new(n_in * n_out),
            pointwise_bias: Aligned::new(n_out),
            depthwise: Aligned::new(9 * n_out),
            depthwise_bias: Aligned::new(n_out),
        };
        let mut units: Vec<Unit> = table.iter().enumerate().map(unit).collect();
        let mut put = |unit: &mut Unit, first: usize, n: usize| {
            let (pointwise, pointwise_bias, depthwise, depthwise_bias) = (take(n * unit.n_in), take(n), take(9 * n), take(n));
            for out in 0..n {
                for channel in 0..unit.n_in {
                    unit.pointwise[channel * unit.n_out + first + out] = pointwise[out * unit.n_in + channel];
                }
                for k in 0..9 {
                    unit.depthwise[k * unit.n_out + first + out] = depthwise[out * 9 + k];
                }
            }
            unit.pointwise_bias[first..first + n].copy_from_slice(pointwise_bias);
            unit.depthwise_bias[first..first + n].copy_from_slice(depthwise_bias);
        };
        let (body, heads) = units.split_at_mut(14);
        body.iter_mut().for_each(|unit| put(unit, 0, unit.n_out));
        // The four heads of a level (class, object, box, landmarks) run side by side in 16 channels.
        for (first, n) in [(0, 1), (1, 1), (2, 4), (6, 10)] {
            heads.iter_mut().for_each(|unit| put(unit, first, n));
        }
        Some(Weights { stem, stem_bias, units })
    }
}

/// What one layer holds: its last `cap` output rows (all where they are kept) and a ring of 4 pointwise rows.
#[derive(Default)]
struct Rows {
    width: usize,
    height: usize,
    cap: usize,
    done: usize,
    out: Aligned,
    pooled: Aligned,
    ring: Aligned,
    pointwise_done: usize,
}

/// A picture in BGR bytes.
#[derive(Clone, Copy)]
struct Image<'a> {
    bgr: &'a [u8],
    width: usize,
    height: usize,
}

/// The buffers of one inference at one size.
pub(super) struct Network {
    isa: Isa,
    /// Width after padding, a multiple of 32.
    pub(super) width: usize,
    /// Height after padding, a multiple of 32.
    pub(super) height: usize,
    layers: Vec<Rows>,
    zero: Aligned,
    sum: Aligned,
    image_rows: [Aligned; 3],
}

/// One level's cells: 16 floats each (class logit, object logit, box 4, landmarks 10).
pub(super) struct Level<'a> {
    /// Pixels from one cell to the next.
    pub(super) stride: usize,
    /// Cells in a row.
    pub(super) columns: usize,
    /// The floats.
    pub(super) cells: &'a [f32],
}

impl Network {
    /// For pictures of up to that size.
    pub(super) fn new(weights: &Weights, isa: Isa, width: usize, height: usize) -> Network {
        let (width, height) = (width.next_multiple_of(32).max(32), height.next_multiple_of(32).max(32));
        let (w, h) = (width / 2, height / 2);
        let mut layers = vec![Rows { width: w, height: h, cap: 4, out: Aligned::new(4 * w * 16), ..Default::default() }];
        // The size of each layer's output as its reader sees it.
        let mut sizes = vec![(w, h)];
        for (at, unit) in weights.units.iter().enumerate() {
            let (w, h) =
                if unit.upsampled.is_some() { (layers[unit.source].width, layers[unit.source].height) } else { sizes[unit.source] };
            let pooled = matches!(unit.mode, Mode::Pool | Mode::Both);
            sizes.push(if pooled { (w / 2, h / 2) } else { (w, h) });
            let cap = if unit.keep { h.next_multiple_of(2) } else { 4 };
            let pooled_rows = if unit.keep { 4.max(h / 2) } else { 4 };
            debug_assert_eq!(layers.len(), at + 1);
            layers.push(Rows {
                width: w,
                height: h,
                cap,
                ring: Aligned::new(4 * (w + 1) * unit.n_out),
                out: Aligned::new(if unit.mode == Mode::Pool { 0 } else { cap * w * unit.n_out }),
                pooled: Aligned::new(if pooled { pooled_rows * (w / 2) * unit.n_out } else { 0 }),
                ..Default::default()
            });
        }
        let widest = (w + 1) * 64;
        let image_rows = std::array::from_fn(|_| Aligned::new((width + 2) * 3));
        Network { isa, width, height, layers, zero: Aligned::new(widest), sum: Aligned::new(widest), image_rows }
    }

    /// Runs the graph on `height` rows of `width` BGR pixels; what is missing up to the padded size counts as zero.
    pub(super) fn run(&mut self, weights: &Weights, bgr: &[u8], width: usize, height: usize) {
        assert!(bgr.len() >= width * height * 3 && width <= self.width && height <= self.height);
        self.layers.iter_mut().for_each(|l| (l.done, l.pointwise_done) = (0, 0));
        for layer in [7, 9, 11, 12, 13, 17, 16, 15] {
            self.ensure(weights, layer, usize::MAX, Image { bgr, width, height });
        }
    }

    /// The three levels after `run`.
    pub(super) fn levels(&self) -> [Level<'_>; 3] {
        [(8, 15), (16, 16), (32, 17)].map(|(stride, layer)| {
            let rows = &self.layers[layer];
            Level { stride, columns: rows.width, cells: &rows.out[..rows.width * rows.height * 16] }
        })
    }

    /// Makes sure that a layer has its first `rows` output rows, before pooling.
    fn ensure(&mut self, weights: &Weights, layer: usize, rows: usize, image: Image<'_>) {
        let rows = rows.min(self.layers[layer].height);
        while self.layers[layer].done < rows {
            if layer == 0 {
                self.stem_row(weights, image);
            } else {
                self.unit_rows(weights, layer, image);
            }
        }
    }

    fn stem_row(&mut self, weights: &Weights, image: Image<'_>) {
        let layer = &mut self.layers[0];
        let y = layer.done;
        for r in 0..3 {
            // Row 2y - 1 + r of the picture lives in image_rows[(row + 1) % 3]; row 2y - 1 is there already unless y = 0.
            if r == 0 && y > 0 {
                continue;
            }
            let row = (2 * y + r).wrapping_sub(1);
            let floats = &mut self.image_rows[(2 * y + r) % 3];
            if row < image.height {
                let bytes = image.width * 3;
                self.isa.widen(&image.bgr[row * bytes..(row + 1) * bytes], &mut floats[3..]);
                floats[3 + bytes..].fill(0.0);
            } else {
                floats.fill(0.0);
            }
        }
        let rows = [0, 1, 2].map(|r| &self.image_rows[(2 * y + r) % 3][..]);
        let n = layer.width * 16;
        let at = (y % layer.cap) * n;
        self.isa.stem(rows, &weights.stem, &weights.stem_bias, &mut layer.out[at..at + n], layer.width);
        layer.done += 1;
    }

    /// Two output rows y and y + 1 of a unit, from the pointwise rows y - 1 to y + 2.
    fn unit_rows(&mut self, weights: &Weights, layer: usize, image: Image<'_>) {
        let (unit, y) = (&weights.units[layer - 1], self.layers[layer].done);
        let (w, h, channels) = (self.layers[layer].width, self.layers[layer].height, unit.n_out);
        let needed = (y + 3).min(h);
        let reads_pooled =
            unit.source > 0 && unit.upsampled.is_none() && matches!(weights.units[unit.source - 1].mode, Mode::Pool | Mode::Both);
        let slot = (w + 1) * channels;
        while self.layers[layer].pointwise_done < needed {
            let row = self.layers[layer].pointwise_done;
            self.ensure(weights, unit.source, if reads_pooled { 2 * (row + 1) } else { row + 1 }, image);
            let (below, above) = self.layers.split_at_mut(layer);
            let (source, target) = (&below[unit.source], &mut above[0]);
            let n = w * unit.n_in;
            let input = if reads_pooled {
                let cap = source.pooled.len() / n;
                &source.pooled[row % cap * n..][..n]
            } else {
                &source.out[row % source.cap * n..][..n]
            };
            let input = match unit.upsampled {
                Some(small) => {
                    let low = &below[small].out[row / 2 * (w / 2) * channels..][..w / 2 * channels];
                    self.isa.add_up(input, low, &mut self.sum[..n], channels);
                    &self.sum[..n]
                }
                None => input,
            };
            let ring = &mut target.ring[row % 4 * slot..][..w * channels];
            self.isa.pw(input, unit.n_in, &unit.pointwise, &unit.pointwise_bias, ring, channels, w);
            target.pointwise_done += 1;
        }
        let target = &mut self.layers[layer];
        let rows: [&[f32]; 4] = std::array::from_fn(|i| match (y + i).checked_sub(1) {
            Some(row) if row < h => &target.ring[row % 4 * slot..][..slot],
            _ => &self.zero[..slot],
        });
        let n = w * channels;
        let pooled: &mut [f32] = if target.pooled.is_empty() {
            &mut []
        } else {
            let cap = target.pooled.len() / (n / 2);
            &mut target.pooled[y / 2 % cap * (n / 2)..][..n / 2]
        };
        let (first, second): (&mut [f32], &mut [f32]) =
            if target.out.is_empty() { (&mut [], &mut []) } else { target.out[y % target.cap * n..][..2 * n].split_at_mut(n) };
        self.isa.dw(unit.mode, rows, &unit.depthwise, &unit.depthwise_bias, [first, second], pooled, channels, w);
        target.done = (y + 2).min(h);
    }
}
