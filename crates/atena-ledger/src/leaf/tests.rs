//! A leaf has one spelling, and nothing can pretend to be a line of it.

use super::*;

fn shape() -> LeafShape {
    LeafShape {
        direction: Direction::Outbound,
        method: "LinkageService/GetRecords".into(),
        system: "resident-tax".into(),
        division: Some("財務部市民税課".into()),
        affair: Some("市都民税賦課業務".into()),
        rule: Some(("transfer-1".into(), 1)),
        basis: Some("条例; 番号法第19条第8項 別表第2(48)".into()),
        dataset: Some("payment".into()),
        fields: vec!["fiscal_year".into(), "months.month".into()],
        policy: [0xab; 32],
    }
}

fn leaf() -> Leaf {
    Leaf {
        id: [0x12; 16],
        requested_us: 1_763_888_400_000_000,
        provided_us: 1_763_888_400_001_234,
        outcome: Outcome::Released,
        reason: None,
        records: 3,
        subject: Hash([1; 32]),
        content: Hash([2; 32]),
        details: Hash([3; 32]),
    }
}

fn encoded(shape: &LeafShape, leaf: &Leaf) -> Vec<u8> {
    let mut out = Vec::new();
    leaf.encode(&shape.render().unwrap(), &mut out).unwrap();
    out
}

#[test]
fn a_leaf_is_read_as_it_was_written() {
    let bare = LeafShape {
        division: None,
        affair: None,
        rule: None,
        basis: None,
        dataset: None,
        fields: Vec::new(),
        ..shape()
    };
    let refused = Leaf { outcome: Outcome::Refused, reason: Some("ROLE_REQUIRED".into()), ..leaf() };
    for (shape, leaf) in [(shape(), leaf()), (bare, refused)] {
        let bytes = encoded(&shape, &leaf);
        let hash = leaf.hash(&shape.render().unwrap(), &mut Vec::new());
        assert_eq!(hash, Ok(crate::hash::leaf_hash(&bytes)));
        assert_eq!(Leaf::decode(&bytes), Ok((shape.clone(), leaf)));
        let rendered = RenderedShape::from_bytes(shape.render().unwrap().as_bytes().to_vec()).unwrap();
        assert_eq!(rendered.shape().unwrap(), shape);
    }
}

#[test]
fn one_leaf_has_one_spelling() {
    let text = String::from_utf8(encoded(&shape(), &leaf())).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for index in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(index);
        let joined = without.join("\n") + "\n";
        if let Ok((shape, leaf)) = Leaf::decode(joined.as_bytes()) {
            assert_eq!(encoded(&shape, &leaf), joined.as_bytes(), "only optional lines can be missing");
        }
        let mut twice = lines.clone();
        twice.insert(index, lines[index]);
        assert_eq!(Leaf::decode((twice.join("\n") + "\n").as_bytes()), Err(LeafError::Malformed));
    }
    for wrong in [
        text.trim_end().to_owned(),
        text.clone() + "\n",
        text.replace("records 3", "records 03"),
        text.replace("id 12", "id AB"),
    ] {
        assert_eq!(Leaf::decode(wrong.as_bytes()), Err(LeafError::Malformed));
    }
}

#[test]
fn a_value_can_not_pretend_to_be_a_line() {
    let forged = LeafShape { affair: Some("x\noutcome RELEASED".into()), ..shape() };
    assert_eq!(forged.render(), Err(LeafError::Character));
    let spaced = LeafShape { fields: vec!["a b".into()], ..shape() };
    assert_eq!(spaced.render(), Err(LeafError::Character));
    let mut out = b"before".to_vec();
    let bad = Leaf { reason: Some("A\nB".into()), ..leaf() };
    assert_eq!(bad.encode(&shape().render().unwrap(), &mut out), Err(LeafError::Character));
    assert_eq!(out, b"before");
}
