//! Rate limits as vendors count them: so many at once, then at a steady rate.

use std::collections::HashMap;

/// A rate limit with one bucket a name (a channel, a hook).
#[derive(Debug)]
pub struct Limiter {
    /// Requests that may come at once.
    burst: f64,
    /// Requests a second after that; 0 switches the limit off.
    rate: f64,
    buckets: HashMap<String, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at_ms: i64,
}

/// Buckets looked through for full ones when there are so many; a full bucket is as good as none.
const BUCKETS_MAX: usize = 10_000;

impl Limiter {
    /// `burst` at once, then `rate` a second. A rate of 0 lets everything through.
    #[must_use]
    pub fn new(burst: f64, rate: f64) -> Self {
        Self {
            burst: burst.max(1.0),
            rate: rate.max(0.0),
            buckets: HashMap::new(),
        }
    }

    /// Takes one of `name`'s.
    ///
    /// # Errors
    /// That it has none left: whole seconds to wait, as `Retry-After` has them.
    pub fn take(&mut self, name: &str, now_ms: i64) -> Result<(), u64> {
        if self.rate == 0.0 {
            return Ok(());
        }
        let (burst, rate) = (self.burst, self.rate);
        let filled = |bucket: &Bucket| {
            let seconds = now_ms.saturating_sub(bucket.at_ms).max(0) as f64 / 1_000.0;
            (bucket.left + seconds * rate).min(burst)
        };
        if self.buckets.len() >= BUCKETS_MAX {
            self.buckets.retain(|_, bucket| filled(bucket) < burst);
        }
        let left = self.buckets.get(name).map_or(burst, filled);
        if left < 1.0 {
            let seconds = ((1.0 - left) / rate).ceil();
            return Err((seconds as u64).max(1));
        }
        let bucket = Bucket {
            left: left - 1.0,
            at_ms: now_ms,
        };
        self.buckets.insert(name.to_owned(), bucket);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_lets_the_next_through_at_the_second_and_not_before() {
        let mut limiter = Limiter::new(1.0, 1.0);
        assert_eq!(limiter.take("a", 1_000), Ok(()));
        assert_eq!(limiter.take("a", 1_999), Err(1));
        assert_eq!(limiter.take("b", 1_999), Ok(()), "each name on its own");
        assert_eq!(limiter.take("a", 2_000), Ok(()));
    }

    #[test]
    fn a_burst_is_let_through_and_the_wait_is_in_whole_seconds() {
        let mut limiter = Limiter::new(4.0, 0.5);
        for _ in 0..4 {
            assert_eq!(limiter.take("a", 0), Ok(()));
        }
        assert_eq!(limiter.take("a", 0), Err(2));
        assert_eq!(limiter.take("a", 1_000), Err(1));
        assert_eq!(limiter.take("a", 2_000), Ok(()));
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let mut limiter = Limiter::new(1.0, 0.0);
        assert!((0..1_000).all(|_| limiter.take("a", 0).is_ok()));
    }
}
