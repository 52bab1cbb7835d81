//! The one place that needs `unsafe`: code between `fork` and `exec`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

/// Makes the kernel send `signal` to the child of `command` when the **thread** that spawns it
/// ends, however that comes about.
///
/// The standard library changes the user before it runs this, as it must: a change of user clears
/// the setting.
#[expect(
    unsafe_code,
    reason = "pre_exec: the closure makes two system calls and allocates nothing"
)]
pub(super) fn end_with_parent(command: &mut Command, signal: Signal) {
    let parent = getpid();
    let before_exec = move || {
        set_parent_process_death_signal(Some(signal))?;
        // The parent may have ended before the line above; then no signal will come.
        if getppid() == Some(parent) { Ok(()) } else { Err(rustix::io::Errno::SRCH.into()) }
    };
    // SAFETY: both calls are async-signal-safe; nothing is allocated, locked or unwound.
    unsafe { command.pre_exec(before_exec) };
}
