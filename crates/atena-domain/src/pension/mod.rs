//! Pension records (国民年金) as their owner sends them, and the rules that each has to keep.
//!
//! The fields are those of the contract, borrowed; codes are the numbers of its lists. `violations()` tells everything that is wrong
//! with a record at once. Sources: 国民年金法, 国民年金法施行規則, and the legend 「国民年金納付記録の見方」 for the monthly symbols.

mod benefit;
mod exemption;
mod payment;
mod qualification;
mod suspension;
mod symbol;
mod welfare;

pub use benefit::Benefit;
pub use exemption::Exemption;
pub use payment::{Payment, PaymentMonth};
pub use qualification::{DatedReason, Qualification};
pub use suspension::Suspension;
pub use symbol::{PaymentSymbol, SymbolGroup};
pub use welfare::WelfarePension;
