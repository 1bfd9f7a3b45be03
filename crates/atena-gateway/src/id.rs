//! Ids that a caller sees: UUIDs of version 7 (RFC 9562) that say when, to the millisecond, and
//! nothing else. The counter that the RFC allows behind the time would be shared by all calls of the
//! process: from two ids of its own a caller could tell how much others did between them.

use uuid::{Builder, Uuid};

use crate::clock;

/// A new id.
pub(crate) fn new_id() -> Uuid {
    // Behind its sixth byte a version 4 id is random but for the version and the variant, which
    // stand in the same places here.
    let random = Uuid::new_v4().into_bytes();
    let [_, _, _, _, _, _, rest @ ..] = random;
    let milliseconds = u64::try_from(clock::now().as_millisecond()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(milliseconds, &rest).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// own-number-only: nothing in an id counts what others do.
    #[test]
    fn ids_of_one_moment_differ_in_every_bit_behind_the_time_and_have_no_order() {
        let ids: Vec<_> = (0..4096).map(|_| new_id()).collect();
        assert!(ids.iter().all(|id| id.get_version_num() == 7 && id.as_bytes()[8] >> 6 == 0b10));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        let rest = |id: &Uuid| u128::from_be_bytes(id.into_bytes()) & ((1 << 80) - 1);
        // Version and variant are the only bits that are the same in all.
        let (ones, all) = ids.iter().map(rest).fold((0, u128::MAX), |(any, all), id| (any | id, all & id));
        assert_eq!(ones & !all, !((0xf << 76) | (0b11 << 62)) & ((1 << 80) - 1));
        let rises = ids.windows(2).filter(|pair| rest(&pair[0]) < rest(&pair[1])).count();
        assert!((1024..3072).contains(&rises), "{rises} of 4095 are greater than the one before");
    }
}
