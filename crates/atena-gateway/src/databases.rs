//! The databases of one process: municipalities that are kept in the same one share its connections.

use atena_store::{Database, StoreError, StoreOptions};

/// Databases that are open, each once.
#[derive(Default)]
pub struct Databases {
    open: Vec<(StoreOptions, Database)>,
}

// === impl Databases ===

impl Databases {
    /// The database that the options name, opened if it is not open yet.
    pub(crate) async fn open(&mut self, options: &StoreOptions) -> Result<Database, StoreError> {
        if let Some((_, database)) = self.open.iter().find(|(known, _)| known == options) {
            return Ok(database.clone());
        }
        let database = Database::open(options).await?;
        self.open.push((options.clone(), database.clone()));
        Ok(database)
    }

    /// Closes them; SQLite's write-ahead logs are emptied.
    pub async fn close(self) {
        for (_, database) in self.open {
            database.close().await;
        }
    }
}
