//! Clause 7: frequencies, angles and the rotation.

use super::double_double::DoubleDouble;
use super::real::{Arithmetic, Real};
use crate::config::RopeConfig;
use crate::profile::Profile;

/// The 32 frequencies of the released models in f32, as both PyTorch implementations compute them.
const RELEASED: [u32; 32] = [
    0x3f80_0000,
    0x3f30_6535,
    0x3ef3_16a2,
    0x3ea7_7faa,
    0x3e66_d3fa,
    0x3e1f_0cfd,
    0x3ddb_2f9f,
    0x3d97_0764,
    0x3d50_2194,
    0x3d01_ddd5,
    0x3c9e_646f,
    0x3c3d_ec94,
    0x3bde_a840,
    0x3b7c_fe14,
    0x3b09_3803,
    0x3a89_f778,
    0x39ef_543c,
    0x3907_99b9,
    0x3820_adc6,
    0x37dd_6dfc,
    0x3798_9328,
    0x3752_42fa,
    0x3710_e12c,
    0x36c7_a82b,
    0x3689_928c,
    0x363d_9647,
    0x3602_a245,
    0x35b4_0668,
    0x3578_1728,
    0x352a_f200,
    0x34eb_93eb,
    0x34a2_52d3,
];

/// 1 / √n, rounded once: the factor of attention scores.
#[must_use]
pub fn inverse_sqrt<R: Real>(n: usize) -> R {
    nearest(DoubleDouble::ONE / DoubleDouble::new(n as f64).sqrt())
}

/// The number of type `R` nearest to a value.
fn nearest<R: Real>(value: DoubleDouble) -> R {
    if R::BYTES == 4 { R::from_f32(value.to_f32()) } else { R::from_f64(value.to_f64()) }
}

/// The rotation of one model: its frequencies and the factor of cosine and sine.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope<A: Arithmetic> {
    inverse_frequencies: Vec<A::Real>,
    concentration: A::Real,
}

impl<A: Arithmetic> Rope<A> {
    /// The rotation of heads of `head_dim` elements.
    #[must_use]
    pub fn new(config: &RopeConfig, head_dim: usize) -> Self {
        let released = RopeConfig {
            theta: 150_000.0,
            factor: 32.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            original_context: 4096,
            truncate: false,
        };
        let inverse_frequencies = if A::PROFILE != Profile::F64 && head_dim == 64 && *config == released {
            RELEASED.iter().map(|&bits| A::Real::from_f32(f32::from_bits(bits))).collect()
        } else {
            inverse_frequencies(config, head_dim).into_iter().map(nearest).collect()
        };
        Self { inverse_frequencies, concentration: nearest(concentration(config)) }
    }

    /// One angle a pair of elements, in radians a position.
    #[must_use]
    pub fn inverse_frequencies(&self) -> &[A::Real] {
        &self.inverse_frequencies
    }

    /// What cosine and sine are multiplied by.
    #[must_use]
    pub fn concentration(&self) -> A::Real {
        self.concentration
    }

    /// Cosine and sine of pair `pair` at `position`, each times the concentration, through b.
    ///
    /// # Panics
    ///
    /// If `pair` is not below half of the head's elements.
    #[must_use]
    pub fn cos_sin(&self, position: usize, pair: usize) -> (A::Real, A::Real) {
        let angle = A::Real::from_f64(position as f64) * self.inverse_frequencies[pair];
        let (sine, cosine) = DoubleDouble::sin_cos(angle.to_f64());
        (
            A::b(nearest::<A::Real>(cosine) * self.concentration),
            A::b(nearest::<A::Real>(sine) * self.concentration),
        )
    }

    /// Rotates one head in place: element i with element i + half; `cos_sin` holds what [`Self::cos_sin`] gives a pair.
    #[inline(always)]
    pub fn rotate(head: &mut [A::Real], cos_sin: &[(A::Real, A::Real)]) {
        let (first, second) = head.split_at_mut(head.len() / 2);
        for ((x, y), &(cos, sin)) in first.iter_mut().zip(second).zip(cos_sin) {
            let (a, d) = (*x, *y);
            *x = A::b(A::b(a * cos) - A::b(d * sin));
            *y = A::b(A::b(d * cos) + A::b(a * sin));
        }
    }
}

/// 0.1 ln factor + 1; 1 where nothing is stretched.
fn concentration(config: &RopeConfig) -> DoubleDouble {
    if config.factor <= 1.0 {
        return DoubleDouble::ONE;
    }
    DoubleDouble::new(config.factor).ln() / DoubleDouble::new(10.0) + DoubleDouble::ONE
}

/// The frequencies by the formula of YaRN (Peng et al., "YaRN: Efficient Context Window Extension of Large Language
/// Models", section 3.2), with the ramp of gpt-oss.
fn inverse_frequencies(config: &RopeConfig, head_dim: usize) -> Vec<DoubleDouble> {
    let number = DoubleDouble::new;
    let ln_theta = number(config.theta).ln();
    let dims = number(head_dim as f64);
    let plain = |pair: usize| (-(number(2.0 * pair as f64) / dims * ln_theta)).exp();
    let pairs = head_dim / 2;
    if config.factor <= 1.0 {
        return (0..pairs).map(plain).collect();
    }
    // The pair that turns `rotations` times over the original context.
    let bound = |rotations: f64| {
        let turns = number(config.original_context as f64) / (number(2.0 * rotations) * DoubleDouble::PI);
        dims / number(2.0) * turns.ln() / ln_theta
    };
    let (mut low, mut high) = (bound(config.beta_fast), bound(config.beta_slow));
    if config.truncate {
        low = number(low.to_f64().floor());
        high = number(high.to_f64().ceil());
    }
    (0..pairs)
        .map(|pair| {
            let kept = plain(pair);
            let ramp = (number(pair as f64) - low) / (high - low);
            let stretched = kept / number(config.factor);
            if ramp.to_f64() <= 0.0 {
                kept
            } else if ramp.to_f64() >= 1.0 {
                stretched
            } else {
                ramp * stretched + (DoubleDouble::ONE - ramp) * kept
            }
        })
        .collect()
}
