//! `atena verify`: offline, with the log's public key and nothing else of Atena's.

use std::fs;
use std::path::{Path, PathBuf};

use atena_ledger::{
    Checkpoint, Frontier, Hash, Leaf, Receipt, TileKind, TilePath, VerifierKey, decode_bundle, leaf_hash,
    open_checkpoint, tiles_of,
};
use serde_json::json;

use crate::Finished;
use crate::cli::VerifyCommand;
use crate::error::CliError;
use crate::output::Output;
use crate::progress;
use crate::table::counted;

/// Verifies a receipt or a copy of a log.
pub(super) fn run(command: &VerifyCommand, output: &mut Output) -> Result<Finished, CliError> {
    match command {
        VerifyCommand::Receipt { key, leaf, receipt } => verify_receipt(&read_keys(key)?, leaf, receipt, output),
        VerifyCommand::Export { key, extends, folder } => verify_export(&read_keys(key)?, extends, folder, output),
    }
}

/// A key as such, or a file that holds one; or several of one log, one a line, between lines that begin with `#`.
pub(super) fn read_keys(key: &str) -> Result<Vec<VerifierKey>, CliError> {
    let text = match VerifierKey::parse(key.trim()) {
        Ok(key) => return Ok(vec![key]),
        Err(_) => read(Path::new(key))?,
    };
    let malformed = |reason: String| CliError::Malformed { what: "the key", reason };
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<_> =
        lines.map(VerifierKey::parse).collect::<Result<_, _>>().map_err(|error| malformed(error.to_string()))?;
    match keys.split_first() {
        None => Err(malformed("the file holds none".to_owned())),
        Some((first, others)) if others.iter().any(|other| other.name() != first.name()) => {
            Err(malformed("the file holds keys of several logs".to_owned()))
        }
        Some(_) => Ok(keys),
    }
}

/// The log that keys are of.
fn name(keys: &[VerifierKey]) -> &str {
    keys.first().map_or("", VerifierKey::name)
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|source| CliError::File { action: "read", path: path.to_owned(), source })
}

fn read_text(path: &Path) -> Result<String, CliError> {
    String::from_utf8(read(path)?).map_err(|_| refused(format!("{} is not text", path.display())))
}

fn refused(what: impl Into<String>) -> CliError {
    CliError::Rows(format!("NOT verified: {}", what.into()))
}

fn verify_receipt(
    keys: &[VerifierKey],
    leaf: &Path,
    receipt: &Path,
    output: &mut Output,
) -> Result<Finished, CliError> {
    let leaf = read(leaf)?;
    let parsed = Receipt::parse(&read_text(receipt)?).map_err(|error| refused(error.to_string()))?;
    let checkpoint = parsed.verify(&leaf, keys).map_err(|error| refused(error.to_string()))?;
    Leaf::decode(&leaf).map_err(|error| refused(error.to_string()))?;
    if output.is_json() {
        return output
            .json_line(&json!({ "verified": true, "index": parsed.index, "size": checkpoint.size, "log": name(keys) }))
            .map(|()| Finished::Clean);
    }
    output.line(&format!(
        "verified: this is leaf {} of the log {}, under its signed head of {} leaves",
        parsed.index,
        name(keys),
        checkpoint.size
    ))?;
    Ok(Finished::Clean)
}

fn verify_export(
    keys: &[VerifierKey],
    extends: &[PathBuf],
    folder: &Path,
    output: &mut Output,
) -> Result<Finished, CliError> {
    let open = |path: &Path| {
        let opened = open_checkpoint(&read_text(path)?, keys);
        opened.map_err(|error| refused(format!("{}: {error}", path.display())))
    };
    let head = open(&folder.join("checkpoint"))?;
    let mut earlier =
        extends.iter().map(|path| Ok((path.clone(), open(path)?))).collect::<Result<Vec<_>, CliError>>()?;
    earlier.sort_by_key(|(_, checkpoint)| std::cmp::Reverse(checkpoint.size));
    if let Some((path, _)) = earlier.iter().find(|(_, checkpoint)| checkpoint.size > head.size) {
        return Err(refused(format!(
            "{} has more leaves than this copy: leaf {} is missing",
            path.display(),
            head.size
        )));
    }
    let mut copy = Copy { folder, tree: Frontier::empty(), levels: vec![Vec::new(); 9], earlier };
    copy.compare_earlier()?;
    let bar = progress::bar("検証", Some(head.size));
    for tile in tiles_of(head.size) {
        copy.verify_tile(&tile)?;
        bar.set_position(copy.tree.size());
    }
    bar.finish_and_clear();
    if copy.tree.size() != head.size || copy.tree.root() != head.root {
        return Err(refused("the leaves of this copy do not give its signed head"));
    }
    if output.is_json() {
        output.json_line(&json!({ "verified": true, "size": head.size, "log": name(keys) }))?;
    } else {
        let leaves = counted(head.size);
        output.line(&format!("verified: {leaves} leaves give the signed head of the log {}", name(keys)))?;
    }
    Ok(Finished::Clean)
}

/// A copy being recomputed.
struct Copy<'a> {
    folder: &'a Path,
    tree: Frontier,
    /// For each level of tiles, the hashes that the leaves give.
    levels: Vec<Vec<Hash>>,
    /// Heads kept from earlier, smallest last.
    earlier: Vec<(PathBuf, Checkpoint)>,
}

// === impl Copy ===

impl Copy<'_> {
    fn verify_tile(&mut self, tile: &TilePath) -> Result<(), CliError> {
        let content = read(&self.folder.join(tile.to_string()))?;
        match tile.kind {
            TileKind::Entries => self.verify_entries(tile, &content),
            TileKind::Hashes(level) => {
                let from = usize::try_from(tile.index * 256).unwrap_or(usize::MAX);
                let to = from.saturating_add(usize::from(tile.width));
                let expected = self.levels.get(usize::from(level)).and_then(|hashes| hashes.get(from..to));
                let expected: Option<Vec<u8>> = expected.map(|hashes| hashes.iter().flat_map(|hash| hash.0).collect());
                if expected.as_ref() == Some(&content) {
                    Ok(())
                } else {
                    Err(refused(format!("{tile} is not what the leaves give")))
                }
            }
        }
    }

    fn verify_entries(&mut self, tile: &TilePath, content: &[u8]) -> Result<(), CliError> {
        let entries = decode_bundle(content).map_err(|error| refused(format!("{tile}: {error}")))?;
        if entries.len() != usize::from(tile.width) {
            return Err(refused(format!("{tile} has {} entries instead of {}", entries.len(), tile.width)));
        }
        for entry in entries {
            if Leaf::decode(entry).is_err() {
                return Err(refused(format!("leaf {} is not a leaf of this kind of log", self.tree.size())));
            }
            let levels = &mut self.levels;
            self.tree.push(leaf_hash(entry), |level, _, root| {
                if level % 8 == 0
                    && let Some(hashes) = levels.get_mut(usize::from(level / 8))
                {
                    hashes.push(root);
                }
            });
            self.compare_earlier()?;
        }
        Ok(())
    }

    fn compare_earlier(&mut self) -> Result<(), CliError> {
        while let Some((path, checkpoint)) = self.earlier.pop_if(|(_, checkpoint)| checkpoint.size == self.tree.size())
        {
            if checkpoint.root != self.tree.root() {
                return Err(refused(format!(
                    "this copy does not extend {}: one of the leaves before {} was changed, or the log was forked",
                    path.display(),
                    checkpoint.size
                )));
            }
        }
        Ok(())
    }
}
