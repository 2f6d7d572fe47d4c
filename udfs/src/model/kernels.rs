//! The only file with `unsafe`: three instances of the same five kernels (AVX-512, AVX2 with FMA, portable), chosen when the program starts, and the same choice for work on pictures.
//!
//! Activations are rows of f32 pixels, channels innermost. Every safe entry checks the lengths of its slices, so that the raw pointers below stay inside them.
#![expect(
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    reason = "vector loads and stores at the heart of the face model; held by tests on all three paths"
)]
#![expect(
    clippy::too_many_arguments,
    clippy::int_plus_one,
    reason = "kernels are written as the registers they fill, one text for all widths"
)]

/// Pointwise 1x1: `x` = n pixels of `cin`, `w` = [cin][cout], `o` = n pixels of `cout`.
type Pw = unsafe fn(x: *const f32, cin: usize, w: *const f32, b: *const f32, o: *mut f32, cout: usize, n: usize);
/// Depthwise 3x3 on two output rows; `r` = 4 input rows of (n + 1) pixels (last one zero), `w` = [9][c].
type Dw = unsafe fn(r: [*const f32; 4], w: *const f32, b: *const f32, o: [*mut f32; 2], pool: *mut f32, c: usize, n: usize);
/// Stem 3x3 s2: `r` = 3 rows starting at pixel -1 (BGR f32), `w` = [27][16], n output pixels of 16.
type Stem = unsafe fn(r: [*const f32; 3], w: *const f32, b: *const f32, o: *mut f32, n: usize);

/// Work on many samples of pictures, written plainly: the compiler makes instances of it for the processors that there are.
pub(crate) trait Work {
    /// What comes of it.
    type Made;

    /// Does it, in `for` loops. `#[inline(always)]`, as is every function with such a loop that it calls: only what becomes part of an instance is compiled for its
    /// processor, and closures with loops, `map`, `fold`, `extend` and `collect` often do not.
    fn run(self) -> Self::Made;
}

/// Does the work by its fastest instance that this processor has. What comes of it is the same: no instance joins two operations in one that rounds once.
pub(crate) fn fastest<W: Work>(work: W) -> W::Made {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2<W: Work>(work: W) -> W::Made {
            work.run()
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the instance is compiled for.
            return unsafe { with_avx2(work) };
        }
    }
    work.run()
}

/// Channels in and out of the pointwise convolutions that there are kernels for; all outputs are multiples of 16, as registers are.
const WIDTHS: [(usize, usize); 6] = [(16, 16), (16, 32), (32, 32), (32, 64), (64, 64), (64, 16)];

/// One instance of the kernels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Isa {
    /// Its name: avx512, avx2, portable.
    pub(super) name: &'static str,
    pw: Pw,
    dw: Dw,
    dw_lin: Dw,
    dw_pool: Dw,
    dw_both: Dw,
    stem: Stem,
    widen: unsafe fn(&[u8], &mut [f32]),
    add_up: unsafe fn(&[f32], &[f32], &mut [f32], usize),
}

/// What follows a depthwise convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing.
    Linear,
    /// ReLU.
    Relu,
    /// ReLU, then only the 2x2 maxima are kept.
    Pool,
    /// ReLU, kept as it is and as 2x2 maxima.
    Both,
}

impl Isa {
    /// Those that this processor has, the fastest first.
    pub(super) fn all() -> Vec<Isa> {
        let mut v = vec![];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 && is_x86_feature_detected!("avx512f") {
                v.push(avx512::ISA)
            }
            if avx2 {
                v.push(avx2::ISA)
            }
        }
        v.push(portable::ISA);
        v
    }
    /// Pointwise convolution: `n` pixels of `cin` channels to `cout`; the widths are those that `WIDTHS` has.
    pub(super) fn pw(&self, x: &[f32], cin: usize, w: &[f32], b: &[f32], o: &mut [f32], cout: usize, n: usize) {
        assert!(WIDTHS.contains(&(cin, cout)) && x.len() >= n * cin && w.len() >= cin * cout && b.len() >= cout && o.len() >= n * cout);
        // SAFETY: the lengths are checked above, and the instance is one that this processor has.
        unsafe { (self.pw)(x.as_ptr(), cin, w.as_ptr(), b.as_ptr(), o.as_mut_ptr(), cout, n) }
    }
    /// Depthwise 3x3 convolution of two output rows from four input rows.
    pub(super) fn dw(&self, m: Mode, r: [&[f32]; 4], w: &[f32], b: &[f32], o: [&mut [f32]; 2], pool: &mut [f32], c: usize, n: usize) {
        assert!(r.iter().all(|r| r.len() >= (n + 1) * c) && w.len() >= 9 * c && b.len() >= c && c.is_multiple_of(16) && n > 0);
        assert!(m == Mode::Pool || o.iter().all(|o| o.len() >= n * c));
        assert!(!matches!(m, Mode::Pool | Mode::Both) || (n.is_multiple_of(2) && pool.len() >= n / 2 * c));
        let f = match m {
            Mode::Linear => self.dw_lin,
            Mode::Relu => self.dw,
            Mode::Pool => self.dw_pool,
            Mode::Both => self.dw_both,
        };
        // SAFETY: the lengths are checked above, `o` and `pool` for the modes that write them, and the instance is one that this processor has.
        unsafe { f(r.map(|r| r.as_ptr()), w.as_ptr(), b.as_ptr(), o.map(|o| o.as_mut_ptr()), pool.as_mut_ptr(), c, n) }
    }
    /// The first convolution, 3x3 with stride 2, of three rows of the picture.
    pub(super) fn stem(&self, r: [&[f32]; 3], w: &[f32], b: &[f32], o: &mut [f32], n: usize) {
        assert!(r.iter().all(|r| r.len() >= (2 * n + 1) * 3) && w.len() >= 27 * 16 && b.len() >= 16 && o.len() >= n * 16);
        // SAFETY: the lengths are checked above, and the instance is one that this processor has.
        unsafe { (self.stem)(r.map(|r| r.as_ptr()), w.as_ptr(), b.as_ptr(), o.as_mut_ptr(), n) }
    }
    /// Bytes to floats.
    pub(super) fn widen(&self, s: &[u8], d: &mut [f32]) {
        // SAFETY: the function works on slices; the instance is one that this processor has.
        unsafe { (self.widen)(s, d) }
    }
    /// d[x] = a[x] + low[x / 2], pixels of `c` floats
    pub(super) fn add_up(&self, a: &[f32], low: &[f32], d: &mut [f32], c: usize) {
        assert!(c > 0 && a.len().is_multiple_of(2 * c) && low.len() * 2 >= a.len() && d.len() >= a.len());
        // SAFETY: the function works on slices that it zips; the instance is one that this processor has.
        unsafe { (self.add_up)(a, low, d, c) }
    }
}

macro_rules! kernels {
    ($(#[$tf:meta])* ; $name:literal, $zmm:literal) => {
        $(#[$tf])* #[inline] unsafe fn pw_block<const CIN: usize, const NV: usize, const MP: usize>(x: *const f32, w: *const f32, b: *const f32, o: *mut f32, cout: usize) {
            let mut a = [[set1(0.); NV]; MP];
            for v in 0..NV { let t = ld(b.add(v * L)); for p in 0..MP { a[p][v] = t; } }
            for k in 0..CIN {
                let mut wv = [set1(0.); NV];
                for v in 0..NV { wv[v] = ld(w.add(k * cout + v * L)); }
                for p in 0..MP {
                    let s = set1(*x.add(p * CIN + k));
                    for v in 0..NV { a[p][v] = fma(s, wv[v], a[p][v]); }
                }
            }
            for p in 0..MP { for v in 0..NV { st(o.add(p * cout + v * L), a[p][v]); } }
        }
        $(#[$tf])* #[inline] unsafe fn pw_run<const CIN: usize, const NV: usize, const MP: usize>(x: *const f32, w: *const f32, b: *const f32, o: *mut f32, cout: usize, n: usize) {
            let mut c = 0;
            while c < cout {
                let (w, b, o, mut p) = (w.add(c), b.add(c), o.add(c), 0);
                while p + MP <= n { pw_block::<CIN, NV, MP>(x.add(p * CIN), w, b, o.add(p * cout), cout); p += MP; }
                if MP > 4 { while p + 4 <= n { pw_block::<CIN, NV, 4>(x.add(p * CIN), w, b, o.add(p * cout), cout); p += 4; } }
                while p < n { pw_block::<CIN, NV, 1>(x.add(p * CIN), w, b, o.add(p * cout), cout); p += 1; }
                c += NV * L;
            }
        }
        $(#[$tf])* unsafe fn pw(x: *const f32, cin: usize, w: *const f32, b: *const f32, o: *mut f32, cout: usize, n: usize) {
            if $zmm { match (cin, cout) {
                (16, 16) => pw_run::<16, 1, 16>(x, w, b, o, cout, n),
                (16, 32) => pw_run::<16, 2, 10>(x, w, b, o, cout, n),
                (32, 32) => pw_run::<32, 2, 10>(x, w, b, o, cout, n),
                (32, 64) => pw_run::<32, 4, 5>(x, w, b, o, cout, n),
                (64, 64) => pw_run::<64, 4, 5>(x, w, b, o, cout, n),
                (64, 16) => pw_run::<64, 1, 16>(x, w, b, o, cout, n),
                _ => unreachable!("the safe entry lets only WIDTHS in"),
            } } else { match cin {
                16 => pw_run::<16, 2, 5>(x, w, b, o, cout, n),
                32 => pw_run::<32, 2, 5>(x, w, b, o, cout, n),
                64 => pw_run::<64, 2, 5>(x, w, b, o, cout, n),
                _ => unreachable!("the safe entry lets only WIDTHS in"),
            } }
        }
        $(#[$tf])* #[inline] unsafe fn dw_run<const RELU: bool, const STORE: bool, const POOL: bool>(r: [*const f32; 4], w: *const f32, b: *const f32, o: [*mut f32; 2], pool: *mut f32, c: usize, n: usize) {
            let zero = set1(0.);
            let mut cb = 0;
            while cb < c {
                let wv: [_; 9] = [ld(w.add(cb)), ld(w.add(c + cb)), ld(w.add(2 * c + cb)), ld(w.add(3 * c + cb)), ld(w.add(4 * c + cb)), ld(w.add(5 * c + cb)), ld(w.add(6 * c + cb)), ld(w.add(7 * c + cb)), ld(w.add(8 * c + cb))];
                let bias = ld(b.add(cb));
                let r = [r[0].add(cb), r[1].add(cb), r[2].add(cb), r[3].add(cb)];
                // column x of the four rows, and its contribution with kernel column $k to both output rows
                macro_rules! col { ($x:expr) => {{ let i = $x * c; [ld(r[0].add(i)), ld(r[1].add(i)), ld(r[2].add(i)), ld(r[3].add(i))] }} }
                macro_rules! acc { ($a:expr, $v:expr, $k:literal) => {{
                    let (a, v) = ($a, $v);
                    [fma(v[2], wv[6 + $k], fma(v[1], wv[3 + $k], fma(v[0], wv[$k], a[0]))),
                     fma(v[3], wv[6 + $k], fma(v[2], wv[3 + $k], fma(v[1], wv[$k], a[1])))]
                }} }
                let v = col!(0);
                let (mut cur, mut next) = (acc!([bias; 2], v, 1), acc!([bias; 2], v, 0));
                macro_rules! step { ($x:expr) => {{
                    let v = col!($x + 1);
                    let mut y = acc!(cur, v, 2);
                    cur = acc!(next, v, 1);
                    next = acc!([bias; 2], v, 0);
                    if RELU { y = [max(y[0], zero), max(y[1], zero)]; }
                    if STORE { st(o[0].add($x * c + cb), y[0]); st(o[1].add($x * c + cb), y[1]); }
                    y
                }} }
                let mut x = 0;
                while x + 2 <= n {
                    let p = step!(x);
                    let q = step!(x + 1);
                    if POOL { st(pool.add(x / 2 * c + cb), max(max(p[0], p[1]), max(q[0], q[1]))); }
                    x += 2;
                }
                if x < n { let _ = step!(x); }
                let _ = (cur, next);
                cb += L;
            }
        }
        $(#[$tf])* unsafe fn dw(r: [*const f32; 4], w: *const f32, b: *const f32, o: [*mut f32; 2], p: *mut f32, c: usize, n: usize) { dw_run::<true, true, false>(r, w, b, o, p, c, n) }
        $(#[$tf])* unsafe fn dw_lin(r: [*const f32; 4], w: *const f32, b: *const f32, o: [*mut f32; 2], p: *mut f32, c: usize, n: usize) { dw_run::<false, true, false>(r, w, b, o, p, c, n) }
        $(#[$tf])* unsafe fn dw_pool(r: [*const f32; 4], w: *const f32, b: *const f32, o: [*mut f32; 2], p: *mut f32, c: usize, n: usize) { dw_run::<true, false, true>(r, w, b, o, p, c, n) }
        $(#[$tf])* unsafe fn dw_both(r: [*const f32; 4], w: *const f32, b: *const f32, o: [*mut f32; 2], p: *mut f32, c: usize, n: usize) { dw_run::<true, true, true>(r, w, b, o, p, c, n) }
        $(#[$tf])* #[inline] unsafe fn stem_block<const NV: usize, const MP: usize>(r: [*const f32; 3], w: *const f32, b: *const f32, o: *mut f32) {
            let mut a = [[set1(0.); NV]; MP];
            for v in 0..NV { let t = ld(b.add(v * L)); for p in 0..MP { a[p][v] = t; } }
            for ky in 0..3 { for j in 0..9 {
                let mut wv = [set1(0.); NV];
                for v in 0..NV { wv[v] = ld(w.add((ky * 9 + j) * 16 + v * L)); }
                for p in 0..MP {
                    let s = set1(*r[ky].add(p * 6 + j));
                    for v in 0..NV { a[p][v] = fma(s, wv[v], a[p][v]); }
                }
            } }
            for p in 0..MP { for v in 0..NV { st(o.add(p * 16 + v * L), max(a[p][v], set1(0.))); } }
        }
        $(#[$tf])* unsafe fn stem(r: [*const f32; 3], w: *const f32, b: *const f32, o: *mut f32, n: usize) {
            let mut p = 0;
            macro_rules! go { ($nv:literal, $mp:literal) => { while p + $mp <= n {
                stem_block::<$nv, $mp>([r[0].add(p * 6), r[1].add(p * 6), r[2].add(p * 6)], w, b, o.add(p * 16));
                p += $mp;
            } } }
            if $zmm { go!(1, 16); go!(1, 1) } else if L == 8 { go!(2, 4); go!(2, 1) } else { go!(4, 2); go!(4, 1) }
        }
        $(#[$tf])* unsafe fn widen(s: &[u8], d: &mut [f32]) { for (d, s) in d.iter_mut().zip(s) { *d = *s as f32; } }
        $(#[$tf])* unsafe fn add_up(a: &[f32], low: &[f32], d: &mut [f32], c: usize) {
            for ((a, l), d) in a.chunks_exact(2 * c).zip(low.chunks_exact(c)).zip(d.chunks_exact_mut(2 * c)) {
                for i in 0..c { d[i] = a[i] + l[i]; d[c + i] = a[c + i] + l[i]; }
            }
        }
        pub(super) const ISA: super::Isa = super::Isa { name: $name, pw, dw, dw_lin, dw_pool, dw_both, stem, widen, add_up };
    };
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;
    const L: usize = 16;
    #[target_feature(enable = "avx512f,avx2,fma")]
    #[inline]
    unsafe fn ld(p: *const f32) -> __m512 {
        _mm512_loadu_ps(p)
    }
    #[target_feature(enable = "avx512f,avx2,fma")]
    #[inline]
    unsafe fn st(p: *mut f32, v: __m512) {
        _mm512_storeu_ps(p, v)
    }
    #[target_feature(enable = "avx512f,avx2,fma")]
    #[inline]
    fn set1(v: f32) -> __m512 {
        _mm512_set1_ps(v)
    }
    #[target_feature(enable = "avx512f,avx2,fma")]
    #[inline]
    fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        _mm512_fmadd_ps(a, b, c)
    }
    #[target_feature(enable = "avx512f,avx2,fma")]
    #[inline]
    fn max(a: __m512, b: __m512) -> __m512 {
        _mm512_max_ps(a, b)
    }
    kernels!(#[target_feature(enable = "avx512f,avx2,fma")]; "avx512", true);
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;
    const L: usize = 8;
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn ld(p: *const f32) -> __m256 {
        _mm256_loadu_ps(p)
    }
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn st(p: *mut f32, v: __m256) {
        _mm256_storeu_ps(p, v)
    }
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn set1(v: f32) -> __m256 {
        _mm256_set1_ps(v)
    }
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        _mm256_fmadd_ps(a, b, c)
    }
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn max(a: __m256, b: __m256) -> __m256 {
        _mm256_max_ps(a, b)
    }
    kernels!(#[target_feature(enable = "avx2,fma")]; "avx2", false);
}

/// SSE2 / NEON / anything: LLVM vectorises the 4-lane arrays; FMA only where it is part of the base ISA.
mod portable {
    const L: usize = 4;
    type V = [f32; 4];
    #[inline(always)]
    unsafe fn ld(p: *const f32) -> V {
        p.cast::<V>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn st(p: *mut f32, v: V) {
        p.cast::<V>().write_unaligned(v)
    }
    #[inline(always)]
    fn set1(v: f32) -> V {
        [v; 4]
    }
    #[inline(always)]
    fn fma(a: V, b: V, c: V) -> V {
        std::array::from_fn(|i| if cfg!(target_arch = "aarch64") { a[i].mul_add(b[i], c[i]) } else { a[i] * b[i] + c[i] })
    }
    #[inline(always)]
    fn max(a: V, b: V) -> V {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    kernels!(; "portable", false);
}
