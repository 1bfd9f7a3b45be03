//! The generated types of the contract atena.v1, and the sensitivity of each field as the contract states it. No logic.
