//! What leaves share, rendered once: calls about one person each have the same few shapes over and over.

use std::sync::{Arc, Mutex, PoisonError};

use atena_ledger::{LeafError, LeafShape, RenderedShape};

use crate::transfer::Heading;

/// Shapes that are kept: a municipality has few systems, and each has few rules.
const KEPT_MAX: usize = 64;

/// Shapes that were rendered lately, those asked for most near the front.
#[derive(Default)]
pub(crate) struct Shapes {
    kept: Mutex<Vec<(Arc<Heading>, Arc<RenderedShape>)>>,
}

// === impl Shapes ===

impl Shapes {
    /// The shape of records under this heading.
    ///
    /// # Errors
    /// A value may not stand in a leaf.
    pub(super) fn of(&self, heading: &Arc<Heading>) -> Result<Arc<RenderedShape>, LeafError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = kept.iter().position(|(other, _)| is_same(other, heading)) {
            let to = place.saturating_sub(1);
            kept.swap(place, to);
            if let Some((_, shape)) = kept.get(to) {
                return Ok(Arc::clone(shape));
            }
        }
        let shape = Arc::new(shape_of(heading).render()?);
        kept.truncate(KEPT_MAX - 1);
        kept.push((Arc::clone(heading), Arc::clone(&shape)));
        Ok(shape)
    }
}

/// Whether leaves under both have one shape: everything that [`shape_of`] reads is the same.
fn is_same(one: &Arc<Heading>, other: &Arc<Heading>) -> bool {
    Arc::ptr_eq(one, other)
        || one.method == other.method
            && one.direction == other.direction
            && one.policy_hash == other.policy_hash
            && one.system_id == other.system_id
            && one.dataset == other.dataset
            && one.affair == other.affair
            && one.rule_id == other.rule_id
            && one.rule_version == other.rule_version
            && one.division == other.division
            && one.legal_basis == other.legal_basis
            && one.fields == other.fields
}

fn shape_of(heading: &Heading) -> LeafShape {
    LeafShape {
        direction: heading.direction,
        method: heading.method.to_owned(),
        system: heading.system_id.to_string(),
        division: heading.division.as_deref().map(str::to_owned),
        affair: heading.affair.as_deref().map(str::to_owned),
        rule: heading.rule_id.as_deref().map(|id| (id.to_owned(), heading.rule_version)),
        basis: heading.legal_basis.as_deref().map(str::to_owned),
        dataset: heading.dataset.map(|dataset| dataset.as_str().to_owned()),
        fields: heading.fields.to_vec(),
        policy: heading.policy_hash,
    }
}

#[cfg(test)]
mod tests {
    use atena_domain::Dataset;
    use atena_ledger::Direction;

    use super::*;
    use crate::transfer::Method;
    use crate::transfer::of_gateway;

    fn heading() -> Heading {
        let method = Method { name: "m", direction: Direction::Outbound };
        Heading::clone(&of_gateway([7; 32], method, "gateway").heading)
    }

    /// reconstructible: whatever a leaf tells of a heading tells its shape apart.
    #[test]
    fn another_value_is_another_shape() {
        let shapes = Shapes::default();
        let plain = shapes.of(&Arc::new(heading())).unwrap();
        let again = shapes.of(&Arc::new(heading())).unwrap();
        assert!(Arc::ptr_eq(&plain, &again), "rendered once");
        let changes: [fn(&mut Heading); 11] = [
            |heading| heading.method = "n",
            |heading| heading.direction = Direction::Inbound,
            |heading| heading.policy_hash = [8; 32],
            |heading| heading.system_id = "other".into(),
            |heading| heading.dataset = Some(Dataset::Payment),
            |heading| heading.affair = Some("a".into()),
            |heading| heading.rule_id = Some("r".into()),
            |heading| (heading.rule_id, heading.rule_version) = (Some("r".into()), 2),
            |heading| heading.division = Some("d".into()),
            |heading| heading.legal_basis = Some("b".into()),
            |heading| heading.fields = Arc::from(["f".to_owned()]),
        ];
        for change in changes {
            let mut changed = heading();
            change(&mut changed);
            let expected = shape_of(&changed).render().unwrap();
            for _ in 0..2 {
                assert_eq!(shapes.of(&Arc::new(changed.clone())).unwrap().as_bytes(), expected.as_bytes());
            }
            assert_ne!(expected.as_bytes(), plain.as_bytes());
        }
        for number in 0..2 * KEPT_MAX {
            let mut many = heading();
            many.system_id = format!("system-{number}").into();
            shapes.of(&Arc::new(many)).unwrap();
        }
        assert_eq!(shapes.kept.lock().unwrap().len(), KEPT_MAX);
    }
}
