//! Pages of transfers. A page token is sealed: it belongs to one caller, one method and one query.

use atena_policy::AuditPermit;
use atena_proto::v1;
use sha2::{Digest, Sha256};

use super::{numbers, tell};
use crate::call::Call;
use crate::convert::hexadecimal;
use crate::error::CallError;
use crate::log::query::TransferQuery;
use crate::log::search;

/// Transfers in a page unless the auditor says otherwise, and at most.
const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 1000;

/// Version byte of an opened token. Cursors of pulls are sealed with the same key, so no version of
/// theirs is one of these.
const VERSION: u8 = 3;

/// Bytes of an opened token: version, query, place.
const LENGTH: usize = 1 + 32 + 8;

/// A page as a request asks for it.
pub(super) struct Wanted<'a> {
    pub(super) page_size: u32,
    pub(super) page_token: &'a str,
    /// The fields of the request that say which transfers it asks for, as they were sent.
    pub(super) asked: &'a [&'a str],
}

/// One page of what a query finds, and the token of the next.
pub(super) async fn page(
    call: &Call,
    permit: &AuditPermit,
    query: Option<&TransferQuery>,
    wanted: &Wanted<'_>,
) -> Result<(Vec<v1::Transfer>, String), CallError> {
    let page = match wanted.page_size {
        0 => PAGE_DEFAULT,
        size @ 1..=PAGE_MAX => size,
        _ => return Err(CallError::field("page_size", "must be 0 to 1000")),
    };
    let page = usize::try_from(page).unwrap_or(usize::MAX);
    let digest = digest(call.method.name, wanted.asked);
    let before = match wanted.page_token {
        "" => None,
        token => Some(open(call, token, &digest).ok_or_else(|| {
            CallError::field(
                "page_token",
                "must be the next_page_token of the previous page of the same method with the same filter",
            )
        })?),
    };
    let mut found = match query {
        // One more than the page shows whether another page follows.
        Some(query) => search::list(&call.hall.log, permit, query, before, page + 1).await?,
        None => Vec::new(),
    };
    let next = match (found.get(page), found.get(page.saturating_sub(1))) {
        (Some(_), Some(last)) => seal(call, last.index, &digest)?,
        _ => String::new(),
    };
    found.truncate(page);
    search::open(&call.hall.log, &mut found).await?;
    let numbers = numbers(call);
    Ok((found.into_iter().map(|found| tell::transfer(found, numbers)).collect(), next))
}

/// What a token goes on with: each text with its length, so that no two requests are written alike.
fn digest(method: &str, asked: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for text in std::iter::once(&method).chain(asked) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().into()
}

fn seal(call: &Call, index: u64, digest: &[u8; 32]) -> Result<String, CallError> {
    let sealed = call.hall.vault.seal_cursor(&call.caller.system_id, &encode(index, digest))?;
    Ok(hexadecimal(&sealed))
}

fn open(call: &Call, token: &str, digest: &[u8; 32]) -> Option<u64> {
    let sealed = bytes(token)?;
    let content = call.hall.vault.open_cursor(&call.caller.system_id, &sealed).ok()?;
    decode(&content, digest)
}

fn encode(index: u64, digest: &[u8; 32]) -> Vec<u8> {
    [&[VERSION][..], digest, &index.to_be_bytes()].concat()
}

fn decode(content: &[u8], wanted: &[u8; 32]) -> Option<u64> {
    let (&version, rest) = content.split_first()?;
    let (digest, rest) = rest.split_first_chunk::<32>()?;
    let fits = version == VERSION && content.len() == LENGTH && digest == wanted;
    fits.then(|| rest.first_chunk().map(|index| u64::from_be_bytes(*index)))?
}

/// The bytes that lower-case hexadecimal stands for.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_good_for_its_own_query_alone() {
        let of = |method, asked: &[&str]| digest(method, asked);
        let mine = of("ListTransfers", &["system_id = pension"]);
        let content = encode(7, &mine);
        assert_eq!((decode(&content, &mine), content.len()), (Some(7), LENGTH));
        for other in [
            of("ListTransfers", &["system_id = welfare"]),
            of("ListTransfers", &["", "system_id = pension"]),
            of("ListPersonTransfers", &["system_id = pension"]),
        ] {
            assert_eq!(decode(&content, &other), None);
        }
        assert_ne!(of("m", &["ab", "c"]), of("m", &["a", "bc"]));
        for wrong in [&content[..LENGTH - 1], &[&content[..], &[0]].concat(), &[1; LENGTH]] {
            assert_eq!(decode(wrong, &mine), None);
        }
    }

    #[test]
    fn hexadecimal_is_read_back() {
        assert_eq!(bytes(&hexadecimal(&[0, 0x9f, 0xff])), Some(vec![0, 0x9f, 0xff]));
        for wrong in ["0", "0G", "FF", "１２"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
