//! Rights that a process takes from itself, for good: Landlock for files, seccomp for all else.

use std::collections::BTreeMap;
use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::launch::Confinement;

/// What a program needs of the system to run at all: code, and what describes the machine.
const SYSTEM: [&str; 19] = [
    "/usr",
    "/bin",
    "/lib",
    "/lib64",
    "/opt",
    "/nix/store",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/mime.types",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/sys/devices/system/cpu",
    "/dev/urandom",
];

/// Devices that hold nothing.
const EMPTY: [&str; 2] = ["/dev/null", "/dev/zero"];

/// The version of Landlock that is needed: the first that keeps files from being moved out of their folders.
const NEEDED: ABI = ABI::V2;

/// Keeps this process, and what it becomes and starts, from all files but those it is left, from the network, and from
/// starting further processes.
pub(super) fn confine(confinement: &Confinement) -> io::Result<()> {
    files(confinement).map_err(io::Error::other)?;
    calls().map_err(io::Error::other)
}

/// Why processes cannot be confined here, if so.
#[cfg_attr(not(feature = "python"), allow(dead_code, reason = "only notebooks need it"))]
pub(super) fn is_there() -> Result<(), String> {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(NEEDED))
        .and_then(Ruleset::create);
    rules.map_err(|_| "this kernel has no Landlock, or an old one".to_owned())?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match status.contains("\nSeccomp:") {
        true => Ok(()),
        false => Err("this kernel has no seccomp".to_owned()),
    }
}

fn files(confinement: &Confinement) -> Result<(), landlock::RulesetError> {
    let all = AccessFs::from_all(ABI::V5);
    let read = AccessFs::from_read(ABI::V5);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(NEEDED))?
        // What a newer kernel knows besides.
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::from_all(ABI::V5))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    let system = SYSTEM.iter().map(std::path::Path::new);
    let readable = system.chain(confinement.readable.iter().map(std::path::PathBuf::as_path));
    let parts = readable
        .map(|path| (path, read))
        .chain(EMPTY.iter().map(|path| (std::path::Path::new(path), all)))
        .chain(confinement.folder.iter().chain(&confinement.writable).map(|path| (path.as_path(), all)));
    for (path, access) in parts {
        // What this system does not have cannot be touched.
        let Ok(opened) = PathFd::new(path) else { continue };
        rules = rules.add_rule(PathBeneath::new(opened, access))?;
    }
    rules.restrict_self()?;
    Ok(())
}

/// Calls that reach beyond the process: all are answered as not permitted.
fn calls() -> Result<(), seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in [
        // Sockets of this machine could be those of powerful servers.
        libc::SYS_connect,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_open_by_handle_at,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_io_uring_setup,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_kexec_load,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_sethostname,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
    ] {
        rules.insert(call, Vec::new());
    }
    #[cfg(target_arch = "x86_64")]
    for call in [libc::SYS_fork, libc::SYS_vfork] {
        rules.insert(call, Vec::new());
    }
    let argument = |index, operator, value| {
        SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
            .and_then(|condition| SeccompRule::new(vec![condition]))
            .map_err(seccompiler::Error::Backend)
    };
    // Sockets within the process alone, and those that it listens on in its folder. A datagram needs no connection, and
    // raw sockets of this kind are the same.
    let kind = |kind: i32| argument(1, SeccompCmpOp::MaskedEq(0xf), kind as u64);
    let datagrams = vec![kind(libc::SOCK_DGRAM)?, kind(libc::SOCK_RAW)?];
    let others = argument(0, SeccompCmpOp::Ne, libc::AF_UNIX as u64)?;
    rules.insert(libc::SYS_socket, datagrams.iter().cloned().chain([others]).collect());
    rules.insert(libc::SYS_socketpair, datagrams);
    // Threads may be started, and processes not.
    let thread = libc::CLONE_THREAD as u64;
    rules.insert(libc::SYS_clone, vec![argument(0, SeccompCmpOp::MaskedEq(thread), 0)?]);
    apply(rules, libc::EPERM)?;
    // Its arguments lie in memory, where they cannot be looked at; libraries then do without it.
    apply([(libc::SYS_clone3, Vec::new())].into(), libc::ENOSYS)?;
    // Which networks there are: libraries go on where the question itself is unknown, and end the program where it is refused.
    let asks = argument(0, SeccompCmpOp::Eq, libc::AF_NETLINK as u64)?;
    apply([(libc::SYS_socket, vec![asks])].into(), libc::EOPNOTSUPP)
}

fn apply(mut rules: BTreeMap<i64, Vec<SeccompRule>>, error: i32) -> Result<(), seccompiler::Error> {
    // The same calls by the numbers of another interface of the system, x32.
    if cfg!(target_arch = "x86_64") {
        let again: Vec<_> = rules.iter().map(|(call, rules)| (call | 0x4000_0000, rules.clone())).collect();
        rules.extend(again);
    }
    let architecture = std::env::consts::ARCH.try_into().map_err(seccompiler::Error::Backend)?;
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(error as u32), architecture)
            .map_err(seccompiler::Error::Backend)?;
    let program: BpfProgram = filter.try_into().map_err(seccompiler::Error::Backend)?;
    seccompiler::apply_filter(&program)
}
