//! Reports for people: HTML that prints well, with everything inside one file.

mod chart;
pub(crate) mod disclosure;
mod page;
pub(crate) mod review;

pub(crate) use page::write_pdf;
