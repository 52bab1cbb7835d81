//! Enums whose variants have a name on the wire and in the database.
//!
//! One spelling per value, in SCREAMING_SNAKE_CASE, written once beside the variant: what the
//! database stores, what the answers say and what the input accepts cannot drift apart.

/// A text that is none of an enum's names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind}")]
pub struct UnknownName {
    /// The enum.
    pub kind: &'static str,
}

/// Declares an enum together with `ALL`, `as_str`, `Display` and `FromStr` over its wire names.
macro_rules! wire_enum {
    ($(#[$meta:meta])* $visibility:vis enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// Every value, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name on the wire and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::wire::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::wire::UnknownName { kind: stringify!($name) }),
                }
            }
        }
    };
}

pub(crate) use wire_enum;

#[cfg(test)]
mod tests {
    use crate::{
        dataset::model::Lifecycle,
        freshness::model::{Basis, Driver, Mode, Status},
        history::model::{anomaly::AnomalyKind, expected::ExpectedBasis},
        refresh::model::{EventType, RefreshStatus, RunState, WatermarkOrigin},
        schema::model::{
            evolution::ChangeKind,
            observed::{DriftKind, Family},
        },
    };

    #[test]
    fn every_name_reads_back_and_is_distinct() {
        macro_rules! check {
            ($($name:ident),+) => {$(
                let mut names: Vec<_> = $name::ALL.iter().map(|value| value.as_str()).collect();
                for value in $name::ALL {
                    assert_eq!(value.as_str().parse(), Ok(*value));
                    assert!(value.as_str().bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'));
                    assert!(value.as_str().to_lowercase().parse::<$name>().is_err());
                }
                names.sort_unstable();
                names.dedup();
                assert_eq!(names.len(), $name::ALL.len());
            )+};
        }
        check!(Lifecycle, Basis, Driver, Mode, Status, EventType, RefreshStatus, RunState);
        check!(WatermarkOrigin, AnomalyKind, ExpectedBasis, ChangeKind, DriftKind, Family);
    }
}
