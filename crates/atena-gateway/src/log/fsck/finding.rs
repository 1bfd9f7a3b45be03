//! What a check of a log can find.

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A leaf's parts don't give its stored hash.
    #[error("leaf {0} was changed: what it says does not give its stored hash")]
    LeafChanged(u64),
    /// A leaf can't be read.
    #[error("leaf {0} can't be read")]
    LeafUnreadable(u64),
    /// A leaf is not there.
    #[error("leaf {0} is missing")]
    LeafMissing(u64),
    /// There are leaves beyond the log's end.
    #[error("leaf {0} and those after it stand beyond the end of the log")]
    LeafBeyondEnd(u64),
    /// An inner node is not what the leaves give.
    #[error("the leaves {from} to {to} do not give the stored node above them: one of them was changed or moved")]
    NodeDiffers {
        /// First leaf under the node.
        from: u64,
        /// Last leaf under the node.
        to: u64,
    },
    /// The growing edge is not what the leaves give.
    #[error("the leaves do not give the stored head of the log")]
    HeadDiffers,
    /// A signed head is not what the leaves give.
    #[error("the leaves {from} to {to} are not those that were signed")]
    SignedHeadDiffers {
        /// The first leaf that no earlier signed head vouches for.
        from: u64,
        /// The last leaf under the signed head.
        to: u64,
    },
    /// A signed head does not verify with the log's key.
    #[error("the signed head of size {0} is not signed by this log's key")]
    NotSigned(u64),
    /// The newest signed head verifies only with a key that signs no more.
    #[error("the newest signed head, of size {0}, is signed by none of the keys that sign this log now")]
    SignedByOldKey(u64),
    /// The log ends before a head that was signed.
    #[error(
        "a head of {signed} leaves was signed, and only {size} are there: leaf {size} is the first that is missing (truncated, or a database from an old backup)"
    )]
    Truncated {
        /// Leaves under the signed head.
        signed: u64,
        /// Leaves in the log.
        size: u64,
    },
    /// The sealed details are not what the leaf commits to.
    #[error("the details of leaf {0} were changed: they are not what the leaf commits to")]
    DetailsChanged(u64),
    /// The sealed details are not there.
    #[error("the details of leaf {0} are missing")]
    DetailsMissing(u64),
}
