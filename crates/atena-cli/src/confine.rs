//! What a crash of the gateway leaves behind: nothing of anybody (invariant *number-confinement*).

use std::io::Write as _;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// No core dump, no other process of the same user reading this one's memory, and panics that tell where and not what.
pub(crate) fn confine() {
    // Either may be forbidden to a process already; both are second lines of defence, so the gateway starts all the same.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        let _ = writeln!(std::io::stderr(), "internal error at {place}");
    }));
}
