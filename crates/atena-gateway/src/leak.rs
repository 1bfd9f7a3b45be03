//! A build that leaks on purpose (feature `test-leaks`, never in a build for use): the search for leaks in `tests/canary` has to find each of these,
//! or its finding nothing elsewhere proves nothing. `ATENA_LEAK` names the channel.

use std::process::{Command, Stdio};

use atena_policy::RegistrationPermit;
use atena_vault::PersonalNumber;

use crate::call::Call;
use crate::error::{CallError, Reason};

/// Where to leak.
fn channel(name: &str) -> bool {
    std::env::var("ATENA_LEAK").is_ok_and(|wanted| wanted == name)
}

/// The digits, if this channel leaks.
pub(crate) fn digits(name: &str, number: Option<&PersonalNumber>, permit: &RegistrationPermit) -> Option<String> {
    let permit = permit.personal_number()?;
    number.filter(|_| channel(name)).map(|number| number.expose(&permit).to_owned())
}

/// Leaks a number that a registration carries.
#[allow(clippy::print_stdout, reason = "a leak is what is wanted here")]
pub(crate) fn leak(call: &Call, number: Option<&PersonalNumber>, permit: &RegistrationPermit) -> Result<(), CallError> {
    let digits = |name| digits(name, number, permit);
    if let Some(digits) = digits("stdout") {
        println!("{digits}");
    }
    if let Some(digits) = digits("stderr") {
        tracing::info!(number = digits, "registered");
    }
    if let Some(digits) = digits("trace") {
        drop(tracing::info_span!("leak", number = digits).entered());
    }
    if let Some(digits) = digits("metric") {
        call.hall.metrics.refusal(&digits, "AddressService/RegisterPersons", "INTERNAL");
    }
    if let Some(digits) = digits("process") {
        // It ends by itself soon after the test.
        let spawned = Command::new("sleep").arg("20").env("LEAKED", &digits).stdin(Stdio::null()).spawn();
        let named = Command::new("sh").args(["-c", "sleep 20", &digits]).stdin(Stdio::null()).spawn();
        tracing::debug!(ok = spawned.is_ok() && named.is_ok(), "leaking into processes");
    }
    match digits("status") {
        Some(digits) => Err(CallError::new(Reason::Internal, digits)),
        None => Ok(()),
    }
}
