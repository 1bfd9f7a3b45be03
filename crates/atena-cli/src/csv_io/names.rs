//! What a file calls the fields of the contract, for errors that a clerk reads.

use std::collections::HashMap;
use std::sync::Arc;

use prost_reflect::MessageDescriptor;

use crate::contract::Contract;

/// Names of the fields of a row, by their path in the contract.
#[derive(Clone)]
pub(crate) struct FieldNames {
    names: Arc<HashMap<String, String>>,
    message: MessageDescriptor,
}

// === impl FieldNames ===

impl FieldNames {
    /// Names as the contract gives them: (path, name).
    pub(super) fn new(message: &MessageDescriptor, names: impl Iterator<Item = (String, String)>) -> Self {
        Self { names: Arc::new(names.collect()), message: message.clone() }
    }

    /// The name that the file's own header has for a field.
    pub(super) fn rename(&mut self, path: &str, name: &str) {
        Arc::make_mut(&mut self.names).insert(path.to_owned(), name.to_owned());
    }

    /// What a field is called: as in the file, else in Japanese, else by its path.
    pub(crate) fn name(&self, path: &str) -> String {
        self.names.get(path).cloned().or_else(|| self.term(path)).unwrap_or_else(|| path.to_owned())
    }

    /// The name with the path, for files whose own names are paths.
    pub(super) fn with_path(&self, path: &str) -> String {
        let name = self.name(path);
        if name == path { name } else { format!("{name} ({path})") }
    }

    /// The Japanese term of a field that is no column: a message or a list.
    fn term(&self, path: &str) -> Option<String> {
        let contract = Contract::load().ok()?;
        let mut message = Some(self.message.clone());
        let mut term = None;
        for part in path.split('.') {
            let name = part.split('[').next()?;
            let field = message?.get_field_by_name(name)?;
            term = contract.own_term(&field);
            message = field.kind().as_message().cloned();
        }
        term
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_called_as_in_the_file_and_else_in_japanese() {
        let message = Contract::load().unwrap().message("PersonRegistration").unwrap();
        let own = [("person.sex".to_owned(), "性別".to_owned())];
        let mut names = FieldNames::new(&message, own.into_iter());
        assert_eq!(names.name("person.sex"), "性別");
        names.rename("person.sex", "sex");
        assert_eq!(names.name("person.sex"), "sex");
        assert_eq!(names.name("person.name"), "氏名");
        assert_eq!(names.name("somewhere.else"), "somewhere.else");
    }
}
