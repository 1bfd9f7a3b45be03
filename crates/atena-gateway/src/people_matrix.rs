//! The golden matrix of people: which call each role may make.

use std::fmt::Write as _;

use atena_policy::PersonRole;

use crate::call::rights::right;
use crate::service;

/// Which call each role of people may make, one line each. Calls that it may not make are listed too.
#[must_use]
pub fn people_matrix() -> String {
    let mut text = String::new();
    for role in PersonRole::ALL {
        for method in service::methods() {
            let may = right(method.name).is_some_and(|right| role.rights().contains(&right));
            // Writing to a String can't fail.
            let _ = writeln!(text, "{role} | {} | {}", method.name, if may { "may" } else { "refused" });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_asked_of_methods_that_exist() {
        let known: Vec<_> = service::methods().map(|method| method.name).filter(|name| right(name).is_some()).collect();
        assert_eq!(known.len(), 9, "{known:?}");
    }
}
