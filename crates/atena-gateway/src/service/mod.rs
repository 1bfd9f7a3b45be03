//! The services of the contract: one folder each, one file an RPC.

pub(crate) mod address;
pub(crate) mod linkage;
pub(crate) mod record;
pub(crate) mod transfer_log;
