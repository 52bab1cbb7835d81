//! Numbers of JSON as exact decimals: floats cannot tell 2^53 from its successor, and a bound that
//! is off by one is a wrong verdict.

use std::cmp::Ordering;

use serde_json::Number;

/// `digits × 10^exponent`, without trailing zeros, so that equal numbers are equal values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    digits: i128,
    exponent: i32,
}

impl Decimal {
    pub const ZERO: Self = Self { digits: 0, exponent: 0 };
    pub const ONE: Self = Self { digits: 1, exponent: 0 };

    /// What a number of JSON says. It has 20 digits at most, for it is a 64-bit integer or a float.
    pub fn of(number: &Number) -> Self {
        let text = number.to_string();
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}").parse().unwrap_or(0);
        let places = i32::try_from(fraction.len()).unwrap_or(0);
        let exponent = exponent.parse::<i32>().unwrap_or(0).saturating_sub(places);
        Self { digits, exponent }.trimmed()
    }

    pub fn from_integer(digits: i128) -> Self {
        Self { digits, exponent: 0 }.trimmed()
    }

    fn trimmed(mut self) -> Self {
        if self.digits == 0 {
            return Self::ZERO;
        }
        while self.digits % 10 == 0 {
            self.digits /= 10;
            self.exponent = self.exponent.saturating_add(1);
        }
        self
    }

    pub const fn is_integer(self) -> bool {
        self.exponent >= 0
    }

    /// The digits at a smaller exponent, if they fit.
    fn scaled(self, exponent: i32) -> Option<i128> {
        if self.digits == 0 {
            return Some(0);
        }
        let places = u32::try_from(self.exponent.checked_sub(exponent)?).ok()?;
        self.digits.checked_mul(10_i128.checked_pow(places)?)
    }

    fn aligned(self, other: Self) -> (Option<i128>, Option<i128>, i32) {
        let exponent = self.exponent.min(other.exponent);
        (self.scaled(exponent), other.scaled(exponent), exponent)
    }

    /// Whether it is a whole multiple of `other`. `None` if that is beyond this arithmetic.
    pub fn is_multiple_of(self, other: Self) -> Option<bool> {
        if self.digits == 0 {
            return Some(true);
        }
        match self.aligned(other) {
            (Some(_), Some(0), _) => Some(false),
            (Some(this), Some(other), _) => Some(this % other == 0),
            // The other is larger by many orders of magnitude.
            (Some(_), None, _) => Some(false),
            (None, _, _) => None,
        }
    }

    pub fn plus(self, other: Self) -> Option<Self> {
        let (this, other, exponent) = self.aligned(other);
        Some(Self { digits: this?.checked_add(other?)?, exponent }.trimmed())
    }

    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(Self { digits: other.digits.checked_neg()?, ..other })
    }

    pub fn times(self, factor: i128) -> Option<Self> {
        Some(Self { digits: self.digits.checked_mul(factor)?, ..self }.trimmed())
    }

    /// The largest whole number that is not above `self / other`.
    pub fn floor_of(self, other: Self) -> Option<i128> {
        let (this, other, _) = self.aligned(other);
        this?.checked_div_euclid(other?)
    }

    /// As JSON writes it. `None` if a float cannot hold it.
    pub fn to_number(self) -> Option<Number> {
        if let Some(whole) = self.scaled(0).filter(|_| self.is_integer()) {
            if let Ok(whole) = i64::try_from(whole) {
                return Some(whole.into());
            }
            if let Ok(whole) = u64::try_from(whole) {
                return Some(whole.into());
            }
        }
        Number::from_f64(self.to_string().parse().ok()?)
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.scaled(0).filter(|_| (0..19).contains(&self.exponent)) {
            Some(whole) => whole.fmt(formatter),
            None if (-9..0).contains(&self.exponent) => {
                let places = usize::try_from(-self.exponent).unwrap_or(0);
                let sign = if self.digits < 0 { "-" } else { "" };
                let digits = format!("{:0>1$}", self.digits.unsigned_abs(), places + 1);
                let (whole, fraction) = digits.split_at(digits.len() - places);
                write!(formatter, "{sign}{whole}.{fraction}")
            }
            None => write!(formatter, "{}e{}", self.digits, self.exponent),
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.aligned(*other) {
            (Some(this), Some(other), _) => this.cmp(&other),
            // What does not fit has more than 38 digits at an exponent at which the other has 20.
            (None, _, _) => self.digits.cmp(&0),
            (_, None, _) => 0.cmp(&other.digits),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::of(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn numbers_are_the_same_however_they_are_written() {
        for (one, other) in
            [("1", "1.0"), ("100", "1e2"), ("0", "-0.0"), ("0.1", "1e-1"), ("12.50", "12.5")]
        {
            assert_eq!(decimal(one), decimal(other));
        }
        for text in ["0", "-3", "12.5", "-0.001", "18446744073709551615", "9007199254740993"] {
            assert_eq!(decimal(text).to_string(), text);
            assert_eq!(decimal(text).to_number().unwrap().to_string(), text);
        }
    }

    #[test]
    fn order_is_exact_over_the_whole_range() {
        let ascending = [
            "-1.7e308",
            "-18446744073709551615.0",
            "-1",
            "-1e-300",
            "0",
            "5e-324",
            "0.1",
            "1",
            "9007199254740992",
            "9007199254740993",
            "18446744073709551615",
            "1e300",
        ];
        for (index, small) in ascending.iter().enumerate() {
            for large in &ascending[index + 1..] {
                assert!(decimal(small) < decimal(large), "{small} < {large}");
                assert!(decimal(large) > decimal(small), "{large} > {small}");
            }
        }
    }

    #[test]
    fn multiples_are_exact() {
        let multiple = |one: &str, other: &str| decimal(one).is_multiple_of(decimal(other));
        assert_eq!(multiple("0.3", "0.1"), Some(true));
        assert_eq!(multiple("10", "5.0"), Some(true));
        assert_eq!(multiple("7", "13"), Some(false));
        assert_eq!(multiple("1", "1e300"), Some(false));
        assert_eq!(multiple("1e300", "3"), None);
        assert_eq!(multiple("0", "1e-300"), Some(true));
    }
}
