//! Which instruction sets this machine has.

use std::fmt;
use std::str::FromStr;

use super::{Oracle, Scalar};
use crate::error::{Error, ErrorKind, Result};

/// An instruction set that the kernels were compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// Nothing beyond the baseline of the target.
    Scalar,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F and BW.
    Avx512,
    /// AVX-512 F, BW and BF16.
    Avx512Bf16,
    /// Advanced SIMD of 64-bit Arm.
    Neon,
}

impl Isa {
    /// All of them, slowest first.
    pub const ALL: [Self; 5] = [Self::Scalar, Self::Avx2, Self::Avx512, Self::Avx512Bf16, Self::Neon];

    /// The name as it is written on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512bf16",
            Self::Neon => "neon",
        }
    }

    /// Whether this machine has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => has_avx2(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => has_avx512(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => has_avx512() && is_x86_feature_detected!("avx512bf16"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            _ => false,
        }
    }

    /// Those that this machine has, slowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available())
    }

    /// The fastest that this machine has.
    #[must_use]
    pub fn best() -> Self {
        Self::available().last().unwrap_or(Self::Scalar)
    }

    /// The fastest that this machine has where the number of products is the limit and not the memory.
    ///
    /// That is [`best`](Self::best), but on Intel's processors with AVX-512-BF16 it is AVX-512 without: they begin a product
    /// of pairs in two cycles and two FMAs in one, so that a core of Emerald Rapids computes 80 GFLOP/s by the former and
    /// 150 by the latter. Those of AMD compute twice as much by the former.
    #[must_use]
    pub fn best_for_products() -> Self {
        match Self::best() {
            Self::Avx512Bf16 if is_intel() => Self::Avx512,
            best => best,
        }
    }

    /// Itself, if this machine has it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Isa`] if it does not.
    pub fn require(self) -> Result<Self> {
        if self.is_available() {
            return Ok(self);
        }
        let available: Vec<_> = Self::available().map(Self::name).collect();
        let rule = format!("this machine lacks {self}; it has {}", available.join(", "));
        Err(Error::new(ErrorKind::Isa, rule))
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    has_avx2() && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// Whether the processor calls itself one of Intel.
#[cfg(target_arch = "x86_64")]
fn is_intel() -> bool {
    // Not unsafe in newer versions of the standard library.
    #[allow(unused_unsafe, reason = "the oldest supported compiler needs it")]
    // SAFETY: every 64-bit x86 processor has this instruction and this leaf.
    let leaf = unsafe { std::arch::x86_64::__cpuid(0) };
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat() == b"GenuineIntel"
}

#[cfg(not(target_arch = "x86_64"))]
fn is_intel() -> bool {
    false
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|isa| isa.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::new(ErrorKind::Isa, format!("an instruction set is one of {names}, found {name:?}"))
        })
    }
}

impl Scalar {
    /// Always there.
    #[must_use]
    pub fn detect() -> Self {
        Self(())
    }
}

impl Oracle {
    /// Always there.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        return Self { hardware_fma: has_avx2() };
        #[cfg(not(target_arch = "x86_64"))]
        Self {}
    }
}

#[cfg(target_arch = "x86_64")]
impl super::Avx2 {
    /// If this machine has AVX2 and FMA.
    #[must_use]
    pub fn detect() -> Option<Self> {
        Isa::Avx2.is_available().then_some(Self(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl super::Avx512 {
    /// If this machine has AVX-512 F and BW.
    #[must_use]
    pub fn detect() -> Option<Self> {
        Isa::Avx512.is_available().then_some(Self(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl super::Avx512Bf16 {
    /// If this machine has AVX-512 F, BW and BF16.
    #[must_use]
    pub fn detect() -> Option<Self> {
        Isa::Avx512Bf16.is_available().then_some(Self(()))
    }
}

#[cfg(target_arch = "aarch64")]
impl super::Neon {
    /// Always there on 64-bit Arm.
    #[must_use]
    pub fn detect() -> Option<Self> {
        Some(Self(()))
    }
}
