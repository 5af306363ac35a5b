//! A small random number generator whose numbers never change.
//!
//! It is xoshiro256++ 1.0 by David Blackman and Sebastiano Vigna (2019, public domain), seeded by their
//! splitmix64. Recorded seeds must give the same traffic for ever, which a library does not promise from one
//! version to the next. Not for secrets.

/// What splitmix64 counts by.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// What splitmix64 (Steele, Lea and Flood 2014) draws in this state: other bits for each, without a pattern in them.
pub fn mixed(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(STEP);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        Self([(); 4].map(|()| {
            let mixed = mixed(state);
            state = state.wrapping_add(STEP);
            mixed
        }))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number from 0 and below `limit`. The high half of the product of a 32-bit draw: no number is more
    /// than one part in 2^32 / `limit` likelier than another.
    pub fn below(&mut self, limit: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(limit)) >> 32) as u32
    }

    /// As `below`, for any limit.
    pub fn below_u64(&mut self, limit: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u64
    }

    /// A number from 0 and below 1, of 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number from `first` to `last`, both included.
    pub fn between(&mut self, first: u32, last: u32) -> u32 {
        first + self.below(last - first + 1)
    }

    /// A number from 0 to 99.
    pub fn percent(&mut self) -> u32 {
        self.below(100)
    }

    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u32) as usize]
    }
}
