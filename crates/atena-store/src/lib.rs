//! The database of Atena: SQLite behind one Store; the only crate that knows SQL.
