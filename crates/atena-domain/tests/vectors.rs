//! Every row of the check-digit vectors.

use atena_domain::{MunicipalityCode, UnifiedAddressNumber, check_digit};

#[test]
fn every_vector_is_judged_as_it_says() {
    let rows = include_str!("vectors/check-digit-vectors.csv").lines().skip(1);
    let mut count = 0;
    for row in rows {
        let mut columns = row.splitn(4, ',');
        let (kind, value, valid) = (columns.next().unwrap(), columns.next().unwrap(), columns.next().unwrap());
        let judged = match kind {
            "personal_number" => check_digit::is_personal_number(value),
            "unified_address_number" => UnifiedAddressNumber::parse_issued(value).is_ok(),
            "municipality_code" => MunicipalityCode::parse(value).is_ok(),
            other => panic!("unknown kind {other}"),
        };
        assert_eq!(judged.to_string(), valid, "{row}");
        count += 1;
    }
    assert!(count >= 23, "{count} rows");
}

#[test]
fn a_migrated_number_keeps_its_wrong_check_digit() {
    assert!(UnifiedAddressNumber::parse_migrated("123456789123456").is_ok());
}
