//! What a crash of this program leaves behind: nothing of anybody (invariant *number-confinement*).

use std::io::Write as _;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

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

/// Keeps the memory of a gateway out of swap space, where the system lets it lock as much as it wants (`LimitMEMLOCK=infinity`): with a
/// limit, an allocation beyond it would fail. Returns whether it is locked.
pub(crate) fn lock_memory() -> bool {
    let unlimited = getrlimit(Resource::Memlock).current.is_none();
    unlimited && mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT).is_ok()
}
