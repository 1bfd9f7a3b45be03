//! The transfer log as a Merkle tree (RFC 6962), so that nobody can change, drop or reorder a record without being found out by
//! software that we did not write (invariant *tamper-evident*).
//!
//! Every transfer record is a [`Leaf`]: readable text without personal data, bound to the person and to what was sent by salted
//! commitments. Leaves are appended to a [`Frontier`], whose root is signed in a [`Checkpoint`] (a C2SP signed note). From a
//! checkpoint on, anybody with the log's public key can check that a leaf is in the log ([`Receipt`]), that one checkpoint extends
//! another ([`verify_consistency`]), and a witness can cosign what it has seen ([`witness`]).
//!
//! Deliberately absent: files, databases, clocks, randomness and secrets' storage. This crate computes; others read and keep.
//!
//! ```
//! use atena_ledger::{Checkpoint, Frontier, Receipt, Signer, inclusion_proof, leaf_hash, open_checkpoint};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let leaves: Vec<String> = (0..5).map(|number| format!("leaf {number}")).collect();
//! let mut nodes = std::collections::HashMap::new();
//! let mut tree = Frontier::empty();
//! for leaf in &leaves {
//!     tree.push(leaf_hash(leaf.as_bytes()), |level, index, hash| {
//!         nodes.insert((level, index), hash);
//!     });
//! }
//! let signer = Signer::new("log.example/132098", &[7; 32])?;
//! let checkpoint = Checkpoint::new(signer.name(), tree.size(), tree.root());
//! let proof = inclusion_proof(3, tree.size(), |level, index| nodes.get(&(level, index)).copied().ok_or("no such node"))?;
//! let receipt = Receipt { extra: None, index: 3, proof, checkpoint: checkpoint.sign(&signer).to_string() };
//!
//! // The receiver needs the leaf, the receipt and the public key, and no network.
//! let receipt = Receipt::parse(&receipt.to_string())?;
//! assert_eq!(receipt.verify(b"leaf 3", &signer.verifier_key())?.size, 5);
//! assert!(receipt.verify(b"leaf 4", &signer.verifier_key()).is_err());
//! # Ok(())
//! # }
//! ```

mod checkpoint;
mod chunk;
mod commitment;
mod cosignature;
mod frontier;
mod hash;
mod leaf;
mod note;
mod proof;
mod receipt;
mod text;
mod tile;
pub mod witness;

pub use checkpoint::{Checkpoint, CheckpointError, open_checkpoint};
pub use chunk::{Chunk, encode_chunk};
pub use commitment::{Salts, commit_content, commit_details, commit_subject};
pub use cosignature::{Cosigner, verify_cosignature};
pub use frontier::{Frontier, FrontierError, MisplacedSubtree, perfect_root};
pub use hash::{Hash, leaf_hash, node_hash};
pub use leaf::{Direction, Leaf, LeafError, LeafShape, Outcome, RenderedShape};
pub use note::{KeyError, Note, NoteError, NoteSignature, Signer, VerifierKey};
pub use proof::{
    Node, ProofError, consistency_nodes, consistency_proof, inclusion_nodes, inclusion_proof, root_nodes, tree_root,
    verify_consistency, verify_inclusion,
};
pub use receipt::{Receipt, ReceiptError};
pub use tile::{BundleError, TILE_WIDTH, TileKind, TilePath, decode_bundle, encode_bundle, tiles_of};
