//! What a consumer sees of a record, as a digest: by it a pull knows what is again as it was.

use atena_domain::Dataset;
use atena_store::Before;
use atena_vault::Vault;

/// A keyed digest of what a consumer sees of a record. Of 2^64 changes one would be taken for none.
pub(crate) fn digest(vault: &Vault, dataset: Dataset, seen: &[u8]) -> Before {
    let [a, b, c, d, e, f, g, h, ..] = vault.content_mac(&format!("seen/{dataset}"), seen);
    Before(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}
