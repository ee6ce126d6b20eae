"""Walls around a process, from the kernel's own parts, through ctypes: Linux only.

`enter_own_root` and `enter_own_namespaces` leave a process with a file system that holds Python, numpy and
the student view and nothing else, no network, and no other process in sight. `restrict_files` (Landlock) is
the next best where user namespaces are not allowed. `limit_resources` and `filter_system_calls` come on top
of either; where neither is to be had, the filter alone keeps every file out of reach. References:
namespaces(7), landlock(7), seccomp(2), capabilities(7), pivot_root(2).

Every function raises OSError where the kernel refuses; nothing is left half done silently.
"""

import ctypes
import os
import platform
import resource
import signal
import stat
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

# linux/sched.h
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
# linux/mount.h
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = -100, 0x8000, 1
# linux/prctl.h
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 24, 38
# Numbers that are the same on every 64-bit architecture that came after them.
SYS_MOUNT_SETATTR, SYS_LANDLOCK_CREATE_RULESET = 442, 444
SYS_LANDLOCK_ADD_RULE, SYS_LANDLOCK_RESTRICT_SELF = 445, 446

NOBODY = 65534
SCRATCH = "/scratch"  # not /tmp: a course, and Python itself, may lie below that


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _prctl(option: int, value: int, what: str) -> None:
    _check(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), what)


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags` for new ones."""
    _check(_libc.unshare(flags), "unshare")


def die_with_parent() -> None:
    """Be killed when the process that started this one ends, however it ends."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, "prctl(PR_SET_PDEATHSIG)")


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    fields = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    result = _libc.mount(fields[0], fields[1], fields[2], ctypes.c_ulong(flags), fields[3])
    _check(result, f"mount {target}")


def _bind_read_only(source: str, target: str) -> None:
    """Show `source` at `target`, read only, with whatever is mounted below it."""
    _mount(source, target, None, MS_BIND | MS_REC)
    attributes = struct.pack("QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
    arguments = (AT_FDCWD, os.fsencode(target), AT_RECURSIVE, attributes, ctypes.c_size_t(len(attributes)))
    if _libc.syscall(SYS_MOUNT_SETATTR, *arguments) < 0:  # kernels before 5.12
        _mount(None, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)


def enter_own_root(staging: str, visible: Iterable[str], hidden: Iterable[str]) -> None:
    """Move this process into a user and mount namespace whose file system holds `visible` alone.

    Parameters
    ----------
    staging : str
        An empty directory on which to build the new root.
    visible : iterable of str
        Absolute paths that the process may read. Nothing of them can be written.
    hidden : iterable of str
        Directories below a visible path that are to look empty.
    """
    uid, gid = os.getuid(), os.getgid()
    unshare(CLONE_NEWUSER | CLONE_NEWNS)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {uid} 1"),
        ("gid_map", f"{NOBODY} {gid} 1"),
    ):
        Path("/proc/self", name).write_text(text)
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    _mount("tmpfs", staging, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,nr_inodes=4k,mode=755")
    for path in _without_nested(visible):
        target = staging + path
        if os.path.islink(path):
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            os.symlink(os.readlink(path), target)
        elif os.path.isdir(path):
            os.makedirs(target, exist_ok=True)
            _bind_read_only(path, target)
        elif os.path.exists(path):
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            Path(target).touch()
            _bind_read_only(path, target)  # its owner may be the very user that this process still is outside
    for path in hidden:
        if os.path.isdir(staging + path):
            _mount("tmpfs", staging + path, "tmpfs", MS_NOSUID | MS_NODEV | MS_RDONLY, "size=4k,nr_inodes=1")
    os.makedirs(staging + SCRATCH, exist_ok=True)
    os.chdir(staging)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")  # old root stacked on the new one, then let go
    _check(_libc.umount2(b".", MNT_DETACH), "umount2")
    os.chdir("/")
    _mount(None, "/", None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)


def enter_own_namespaces() -> None:
    """Leave the shared process, network, IPC and mount namespaces; the next child is process 1 of its own.

    Needs the capabilities that `enter_own_root` left.
    """
    unshare(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS)


def mount_scratch(size: str = "16m") -> None:
    """Give this process a directory for temporary files, of bounded size, and move there."""
    _mount("tmpfs", SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV, f"size={size},nr_inodes=1k,mode=700")
    os.chdir(SCRATCH)


def memory_in_use() -> int:
    """Address space of this process, in bytes. Needs /proc, so ask before entering a root without it."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def limit_resources(memory: int, cpu_seconds: int) -> None:
    """Bound address space (bytes), processor time, file sizes and descriptors."""
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_FSIZE: 16 * 2**20,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }
    for which, limit in limits.items():
        hard = resource.getrlimit(which)[1]
        bound = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(which, (bound, bound))


def drop_privileges() -> None:
    """Give up every capability, and the way to gain any."""
    for capability in range(64):
        if _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) < 0:
            break  # past the last one that this kernel knows, or no right to drop: nothing to drop either
    header = struct.pack("II", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    _check(_libc.capset(header, bytes(24)), "capset")
    _prctl(PR_SET_NO_NEW_PRIVS, 1, "prctl(PR_SET_NO_NEW_PRIVS)")
    _prctl(PR_SET_DUMPABLE, 0, "prctl(PR_SET_DUMPABLE)")


# -- Landlock

# Rights on files by the version of the interface that brought them: linux/landlock.h
_FS_EXECUTE, _FS_WRITE_FILE, _FS_READ_FILE, _FS_READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_FS_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_NET_RIGHTS = {4: 0b11}  # bind and connect TCP
_SCOPES = {6: 0b11}  # abstract sockets, signals
_RULE_PATH_BENEATH = 1


def landlock_version() -> int:
    """Version of the kernel's Landlock interface, or 0 where there is none."""
    return max(0, _libc.syscall(SYS_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def restrict_files(visible: Iterable[str], hidden: Iterable[str] = ()) -> None:
    """Let this process read below `visible` but not below `hidden`, write to no file, and open no TCP connection.

    Needs `drop_privileges` first. Names of files outside stay visible to `stat`; their contents do not.
    """
    version = landlock_version()
    if not version:
        raise OSError("this kernel has no Landlock")
    masks = [
        sum(bits for since, bits in table.items() if since <= version)
        for table in (_FS_RIGHTS, _NET_RIGHTS, _SCOPES)
    ]
    attributes = struct.pack("QQQ", *masks)[: 8 if version < 4 else 16 if version < 6 else 24]
    size = ctypes.c_size_t(len(attributes))
    rules = _check(_libc.syscall(SYS_LANDLOCK_CREATE_RULESET, attributes, size, 0), "landlock_create_ruleset")
    try:
        there = {path for path in hidden if os.path.isdir(path)}
        above = {path[:end] for path in there for end, character in enumerate(path) if character == "/"}
        for path, rights in _grants(visible, there, above):
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            rule = struct.pack("<Qi", rights, descriptor)
            added = _libc.syscall(SYS_LANDLOCK_ADD_RULE, rules, _RULE_PATH_BENEATH, rule, 0)
            os.close(descriptor)
            _check(added, f"landlock_add_rule {path}")
        _check(_libc.syscall(SYS_LANDLOCK_RESTRICT_SELF, rules, 0), "landlock_restrict_self")
    finally:
        os.close(rules)


def _grants(visible: Iterable[str], hidden: set[str], above: set[str]) -> Iterator[tuple[str, int]]:
    """Paths and the rights to give on each. A right cannot be taken back below: so give it beside what is hidden.

    `above` holds every directory that has something hidden somewhere below it.
    """
    for path in map(os.path.realpath, visible):  # /lib may be /usr/lib
        if not os.path.exists(path) or path in hidden:
            continue
        if path.rstrip("/") in above:
            yield path, _FS_READ_DIR
            below = (entry for entry in os.scandir(path) if not (entry.is_symlink() and entry.is_dir()))
            yield from _grants([entry.path for entry in below], hidden, above)
        elif os.path.isdir(path):
            yield path, _FS_EXECUTE | _FS_READ_FILE | _FS_READ_DIR
        else:
            device = stat.S_ISCHR(os.stat(path).st_mode)  # /dev/null: anybody may write there
            yield path, _FS_EXECUTE | _FS_READ_FILE | (_FS_WRITE_FILE if device else 0)


# -- seccomp

# What numpy code in a single-threaded Python needs, and no more: no new process or thread, no socket, no
# signal to anyone, no mount, no trace of another process, and nothing that changes a file by its name alone
# (Landlock lets chmod and utime pass, and its first versions truncate). Name: number on x86-64, on AArch64.
_ALLOWED: dict[str, tuple[int, int | None]] = {
    "access": (21, None), "arch_prctl": (158, None), "brk": (12, 214), "chdir": (80, 49),
    "clock_getres": (229, 114), "clock_gettime": (228, 113), "clock_nanosleep": (230, 115), "close": (3, 57),
    "close_range": (436, 436), "creat": (85, None), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_pwait": (281, 22), "epoll_wait": (232, None),
    "exit": (60, 93), "exit_group": (231, 94), "faccessat": (269, 48), "faccessat2": (439, 439),
    "fcntl": (72, 25), "fdatasync": (75, 83), "fstat": (5, 80), "fstatfs": (138, 44), "fsync": (74, 82),
    "ftruncate": (77, 46), "futex": (202, 98), "get_robust_list": (274, 100), "getcpu": (309, 168),
    "getcwd": (79, 17), "getdents": (78, None), "getdents64": (217, 61), "getegid": (108, 177),
    "geteuid": (107, 175), "getgid": (104, 176), "getgroups": (115, 158), "getitimer": (36, 102),
    "getpid": (39, 172), "getppid": (110, 173),
    "getrandom": (318, 278), "getresgid": (120, 150), "getresuid": (118, 148), "getrlimit": (97, 163),
    "getrusage": (98, 165), "gettid": (186, 178), "gettimeofday": (96, 169), "getuid": (102, 174),
    "ioctl": (16, 29), "lseek": (8, 62), "lstat": (6, None), "madvise": (28, 233), "membarrier": (324, 283),
    "mincore": (27, 232), "mkdir": (83, None), "mkdirat": (258, 34), "mmap": (9, 222), "mprotect": (10, 226),
    "mremap": (25, 216), "msync": (26, 227), "munmap": (11, 215), "nanosleep": (35, 101),
    "newfstatat": (262, 79), "open": (2, None), "openat": (257, 56), "pipe": (22, None), "pipe2": (293, 59),
    "poll": (7, None), "ppoll": (271, 73), "pread64": (17, 67), "pselect6": (270, 72), "pwrite64": (18, 68),
    "read": (0, 63), "readlink": (89, None), "readlinkat": (267, 78), "readv": (19, 65),
    "recvfrom": (45, 207), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276),
    "restart_syscall": (219, 128), "rmdir": (84, None), "rseq": (334, 293), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124), "select": (23, None), "sendto": (44, 206), "set_robust_list": (273, 99),
    "set_tid_address": (218, 96), "setitimer": (38, 103), "sigaltstack": (131, 132), "stat": (4, None),
    "statfs": (137, 43), "statx": (332, 291), "sysinfo": (99, 179), "times": (100, 153),
    "umask": (95, 166), "uname": (63, 160), "unlink": (87, None), "unlinkat": (263, 35),
    "write": (1, 64), "writev": (20, 66),
}  # fmt: skip
# Of these, only some commands (the second argument): others make the kernel send signals to any process.
_COMMANDS = {
    "fcntl": (0, 1, 2, 3, 4, 1030),  # F_DUPFD, flags, F_DUPFD_CLOEXEC; no locks, which a sibling would see
    "ioctl": (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451),  # TCGETS, size, FIONREAD, FIONBIO, FIO(N)CLEX
}
# Of these, those that take the name of a file: to open, make, move or remove it, to go there, or to ask what it is.
_BY_NAME = frozenset(
    "access chdir creat faccessat faccessat2 lstat mkdir mkdirat newfstatat open openat readlink readlinkat rename"
    " renameat renameat2 rmdir stat statfs statx unlink unlinkat".split()
)
_PRLIMIT64 = (302, 261)  # allowed to read limits, not to set them
_CLONE3 = 435  # says "no such call", so that the C library falls back to clone, which says "not permitted"
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH


def filter_system_calls(files: bool = True) -> None:
    """Refuse every system call that is not on the list, for good; a refused call fails with EPERM.

    Needs `drop_privileges` first.

    Parameters
    ----------
    files : bool
        Whether calls that take the name of a file are on the list. Without them a process has what it has opened and
        imported by now, and nothing else of any file system.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise OSError(f"no list of system calls for the architecture {machine}")
    column, audit_arch = _ARCHITECTURES[machine]
    load, equal, answer = 0x20, 0x15, 0x06  # BPF: load word at offset, jump if equal, return
    allow, kill, errno = 0x7FFF0000, 0x80000000, 0x00050000
    eperm, enosys = 1, 38
    # struct seccomp_data: nr at 0, arch at 4, args of 8 bytes each from 16.
    program = [(load, 0, 0, 4), (equal, 1, 0, audit_arch), (answer, 0, 0, kill), (load, 0, 0, 0)]
    for name, row in _ALLOWED.items():
        number = row[column]
        if number is None or (name in _BY_NAME and not files):
            continue
        if name not in _COMMANDS:
            program += [(equal, 0, 1, number), (answer, 0, 0, allow)]
            continue
        commands = _COMMANDS[name]
        program += [(equal, 0, 2 * len(commands) + 2, number), (load, 0, 0, 24)]
        for command in commands:
            program += [(equal, 0, 1, command), (answer, 0, 0, allow)]
        program += [(answer, 0, 0, errno | eperm)]
    program += [(equal, 0, 1, _CLONE3), (answer, 0, 0, errno | enosys)]
    program += [
        (equal, 0, 5, _PRLIMIT64[column]),  # new_limit, the third argument, must be a null pointer
        (load, 0, 0, 32),
        (equal, 0, 3, 0),
        (load, 0, 0, 36),
        (equal, 0, 1, 0),
        (answer, 0, 0, allow),
        (answer, 0, 0, errno | eperm),
    ]
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_ = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    mode_filter = 2
    _check(_libc.prctl(PR_SET_SECCOMP, mode_filter, filter_, 0, 0), "prctl(PR_SET_SECCOMP)")


def _without_nested(paths: Iterable[str]) -> list[str]:
    """Sorted paths, without those that lie below another."""
    result: list[str] = []
    for path in sorted({os.path.normpath(path) for path in paths}):
        if not any(
            path.startswith(outer.rstrip("/") + "/") and not os.path.islink(outer) for outer in result
        ):
            result.append(path)
    return result
