//! Who acts.

use atena_domain::MunicipalityCode;
use atena_policy::OperatorPermit;

use crate::transfer::OperatorProof;

/// Who runs a command or a gateway: the operator who signed in ([`sign_in_operator`](super::sign_in_operator)), or else the user of the
/// operating system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(Who);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    /// The user of this process. The operating system says so; nothing proves it.
    User(String),
    /// An operator of this municipality, and how they proved it.
    Operator { permit: OperatorPermit, of: MunicipalityCode, proof: OperatorProof },
}

// === impl Actor ===

impl Actor {
    /// The user of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self(Who::User(whoami::username().unwrap_or_else(|_| "unknown".to_owned())))
    }

    /// Somebody who proved to be this operator of this municipality.
    pub(super) fn operator(permit: OperatorPermit, of: MunicipalityCode, proof: OperatorProof) -> Self {
        Self(Who::Operator { permit, of, proof })
    }

    /// As the admin log of `municipality` names them: the same id may be another person in each.
    pub(super) fn name_in(&self, municipality: &MunicipalityCode) -> String {
        match &self.0 {
            Who::User(name) => format!("os:{name}"),
            Who::Operator { permit, of, .. } if of == municipality => format!("account:{}", permit.operator().as_str()),
            Who::Operator { permit, of, .. } => format!("account:{}/{}", of.as_str(), permit.operator().as_str()),
        }
    }

    /// What the name stands on.
    pub(super) fn proof(&self) -> OperatorProof {
        match &self.0 {
            Who::User(_) => OperatorProof::Told,
            Who::Operator { proof, .. } => *proof,
        }
    }
}

#[cfg(test)]
mod tests {
    use atena_domain::OperatorId;
    use atena_policy::Accounts;
    use jiff::civil::date;

    use super::*;

    #[test]
    fn an_operator_of_another_municipality_is_named_with_it() {
        let accounts = Accounts::read(
            "[[account]]\nid = \"op1\"\ndivision = \"情報政策課\"\nroles = [\"operator\"]\ncertificate = true\nvalid_from = 2026-04-01\nexpires = 2027-03-31\n",
        );
        let id = OperatorId::parse("op1").unwrap();
        let permit = accounts.unwrap().authorize_operator(&id, date(2026, 11, 24)).unwrap();
        let code = |text| MunicipalityCode::parse(text).unwrap();
        let actor = Actor::operator(permit, code("132098"), OperatorProof::Certificate);
        assert_eq!(actor.name_in(&code("132098")), "account:op1");
        assert_eq!(actor.name_in(&code("131016")), "account:132098/op1");
        assert_eq!(actor.proof(), OperatorProof::Certificate);
    }

    #[test]
    fn a_user_of_the_process_is_told_and_not_proved() {
        let (user, code) = (Actor::of_process(), MunicipalityCode::parse("132098").unwrap());
        let name = user.name_in(&code);
        assert!(name.starts_with("os:") && name.len() > 3, "{name}");
        assert_eq!(user.proof(), OperatorProof::Told);
    }
}
