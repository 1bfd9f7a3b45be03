//! The layout that standard tools read (c2sp.org/tlog-tiles v0.1.0): hashes and entries in tiles of 256.

use std::fmt;

use crate::text::parse_decimal;

/// Hashes or entries in a full tile.
pub const TILE_WIDTH: u64 = 256;

/// Levels of tiles at most.
const LEVEL_MAX: u8 = 63;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TileKind {
    /// The entries themselves.
    Entries,
    /// Hashes at this tile level: level 0 are leaf hashes, each hash of the next level is the root of a full tile.
    Hashes(u8),
}

/// The name of one tile: `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TilePath {
    /// What it holds.
    pub kind: TileKind,
    /// Its place in the level.
    pub index: u64,
    /// 1 to 256; less than 256 is a partial tile.
    pub width: u16,
}

/// Why bytes are no entry bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// An entry is longer than 65,535 bytes.
    #[error("an entry is too long for a bundle")]
    EntryTooLong,
    /// The bytes end within an entry.
    #[error("the bundle ends within an entry")]
    Truncated,
}

/// Every tile of a tree of `size` leaves: entries first, then hashes level by level.
pub fn tiles_of(size: u64) -> impl Iterator<Item = TilePath> {
    let entries = tiles_of_level(TileKind::Entries, size);
    let hashes = (0..=7_u8).flat_map(move |level| {
        let in_level = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
        tiles_of_level(TileKind::Hashes(level), in_level)
    });
    entries.chain(hashes)
}

fn tiles_of_level(kind: TileKind, hashes: u64) -> impl Iterator<Item = TilePath> {
    (0..hashes.div_ceil(TILE_WIDTH)).map(move |index| {
        let width = (hashes - index * TILE_WIDTH).min(TILE_WIDTH);
        TilePath { kind, index, width: u16::try_from(width).unwrap_or(u16::MAX) }
    })
}

/// Entries with their lengths before them (16 bits, big endian).
///
/// # Errors
/// [`BundleError::EntryTooLong`].
pub fn encode_bundle<'e>(entries: impl IntoIterator<Item = &'e [u8]>) -> Result<Vec<u8>, BundleError> {
    let mut bundle = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).map_err(|_| BundleError::EntryTooLong)?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// The entries of a bundle.
///
/// # Errors
/// [`BundleError::Truncated`].
pub fn decode_bundle(mut bundle: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk::<2>().ok_or(BundleError::Truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, rest) = rest.split_at_checked(length).ok_or(BundleError::Truncated)?;
        entries.push(entry);
        bundle = rest;
    }
    Ok(entries)
}

// === impl TilePath ===

impl TilePath {
    /// Reads a path without a leading slash; `None` for anything that [`TilePath`] would not write.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let (kind, path) = path.strip_prefix("tile/")?.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(parse_decimal(level).and_then(|level| u8::try_from(level).ok())?),
        };
        let (index, width) = match path.split_once(".p/") {
            Some((index, width)) => (index, parse_decimal(width).and_then(|width| u16::try_from(width).ok())?),
            None => (path, 256),
        };
        let partial = path.contains(".p/");
        let fits = if partial { (1..=255).contains(&width) } else { width == 256 };
        let level_fits = !matches!(kind, TileKind::Hashes(level) if level > LEVEL_MAX);
        let tile = Self { kind, index: parse_index(index)?, width };
        // What is read is what would be written: one tile, one path.
        (fits && level_fits && tile.index_text() == index).then_some(tile)
    }

    fn index_text(&self) -> String {
        let mut text = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            text = format!("x{:03}/{text}", rest % 1000);
            rest /= 1000;
        }
        text
    }
}

fn parse_index(text: &str) -> Option<u64> {
    let mut index: u64 = 0;
    let mut elements = text.split('/').peekable();
    while let Some(element) = elements.next() {
        let digits = if elements.peek().is_some() { element.strip_prefix('x')? } else { element };
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    Some(index)
}

impl fmt::Display for TilePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Entries => formatter.write_str("tile/entries/")?,
            TileKind::Hashes(level) => write!(formatter, "tile/{level}/")?,
        }
        formatter.write_str(&self.index_text())?;
        if u64::from(self.width) < TILE_WIDTH { write!(formatter, ".p/{}", self.width) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let hashes = |level, index, width| TilePath { kind: TileKind::Hashes(level), index, width };
        for (tile, path) in [
            (hashes(0, 1_234_067, 256), "tile/0/x001/x234/067"),
            (hashes(1, 0, 3), "tile/1/000.p/3"),
            (TilePath { kind: TileKind::Entries, index: 999, width: 256 }, "tile/entries/999"),
            (TilePath { kind: TileKind::Entries, index: 1000, width: 255 }, "tile/entries/x001/000.p/255"),
        ] {
            assert_eq!(tile.to_string(), path);
            assert_eq!(TilePath::parse(path), Some(tile));
        }
        let wrong = "tile/00/000 tile/64/000 tile/0/0 tile/0/x000/001 tile/0/1000 tile/0/000.p/0 tile/0/000.p/256 tile/0/000.p/01 \
            tile/-1/000 tile/entry/000 tile/0/ /tile/0/000 tile/0/../000";
        for path in wrong.split_whitespace() {
            assert_eq!(TilePath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_tree_has_the_tiles_of_the_specifications_examples() {
        let hashes: Vec<_> =
            tiles_of(70_000).filter(|tile| tile.kind != TileKind::Entries).map(|tile| tile.to_string()).collect();
        assert_eq!(hashes.len(), 277);
        for path in ["tile/0/272", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"] {
            assert!(hashes.iter().any(|tile| tile == path), "{path}");
        }
        let small: Vec<_> = tiles_of(256).map(|tile| tile.to_string()).collect();
        assert_eq!(small, ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(tiles_of(0).count(), 0);
    }

    #[test]
    fn bundles_are_read_as_they_were_written() {
        let entries: [&[u8]; 3] = [b"", b"one", &[7; 65_535]];
        let bundle = encode_bundle(entries).unwrap();
        assert_eq!(decode_bundle(&bundle).unwrap(), entries);
        assert_eq!(decode_bundle(&bundle[..bundle.len() - 1]), Err(BundleError::Truncated));
        assert_eq!(encode_bundle([&[0; 65_536][..]]), Err(BundleError::EntryTooLong));
    }
}
