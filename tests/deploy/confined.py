"""`python confined.py UNIT COMMAND …`: run a command under a unit's limits on system calls.

systemd itself does not run here; its limits are put into the same seccomp filter with libseccomp,
which systemd brings: SystemCallFilter, MemoryDenyWriteExecute, RestrictAddressFamilies,
RestrictNamespaces, RestrictRealtime and NoNewPrivileges. A call that they refuse fails with EPERM.
"""

import ctypes
import mmap
import os
import re
import socket
import subprocess
import sys
from errno import ENOSYS, EPERM
from pathlib import Path

ALLOW, REFUSE, UNKNOWN = 0x7FFF0000, 0x00050000 | EPERM, 0x00050000 | ENOSYS
EQUAL, MASKED_EQUAL = 4, 7
NAMESPACES, SHM_EXEC, NO_NEW_PRIVILEGES = 0x7E020080, 0o100000, 38
WRITE_AND_EXECUTE = mmap.PROT_WRITE | mmap.PROT_EXEC


class Comparison(ctypes.Structure):
    """How libseccomp looks at an argument of a call: struct scmp_arg_cmp."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def members(group: str) -> set[str]:
    """Return the names of the system calls in one of systemd's groups, such as @system-service."""
    command = ["systemd-analyze", "syscall-filter", group]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names = set(re.findall(r"^ {4}(@?[a-z]\S*)$", said, re.MULTILINE))
    groups = {name for name in names if name.startswith("@")}
    return (names - groups).union(*map(members, groups))


def groups_allowed(filters: list[str]) -> set[str]:
    """Return the system calls that the lines of SystemCallFilter leave."""
    allowed: set[str] = set()
    for value in filters:
        if value.startswith("~"):
            allowed -= members(value[1:])
        else:
            allowed |= members(value)
    return allowed


def limits(options: dict[str, str]) -> dict[str, list[Comparison]]:
    """Return the calls that depend on an argument, with each case in which they are allowed."""
    limited: dict[str, list[Comparison]] = {}
    if options.get("MemoryDenyWriteExecute") == "yes":
        limited["mmap"] = [
            Comparison(2, MASKED_EQUAL, WRITE_AND_EXECUTE, protection)
            for protection in (0, mmap.PROT_WRITE, mmap.PROT_EXEC)
        ]
        for call in ("mprotect", "pkey_mprotect"):
            limited[call] = [Comparison(2, MASKED_EQUAL, mmap.PROT_EXEC, 0)]
        limited["shmat"] = [Comparison(2, MASKED_EQUAL, SHM_EXEC, 0)]
    if families := options.get("RestrictAddressFamilies", "").split():
        limited["socket"] = [
            Comparison(0, EQUAL, int(getattr(socket, name)), 0) for name in families
        ]
    if options.get("RestrictNamespaces") == "yes":
        limited["clone"] = [Comparison(0, MASKED_EQUAL, NAMESPACES, 0)]
        limited |= {"unshare": [], "setns": [], "clone3": []}
    if options.get("RestrictRealtime") == "yes":
        limited["sched_setscheduler"] = [Comparison(1, EQUAL, os.SCHED_OTHER, 0)]
    return limited


def confine(unit: str) -> None:
    """Load the filter for this process and its children. Raises OSError."""
    said = re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE)
    limited = limits(dict(said))
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(REFUSE))

    def rule(action: int, call: str, *comparisons: Comparison) -> None:
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:
            array = (Comparison * len(comparisons))(*comparisons)
            done = library.seccomp_rule_add_array(context, action, number, len(array), array)
            if done:
                raise OSError(-done, f"seccomp_rule_add_array refused {call}")

    filters = [value for name, value in said if name == "SystemCallFilter"]
    for call in sorted(groups_allowed(filters) - limited.keys()):
        rule(ALLOW, call)
    for call, cases in limited.items():
        for case in cases:
            rule(ALLOW, call, case)
    if "clone3" in limited:  # its flags cannot be seen; the C library then takes clone
        rule(UNKNOWN, "clone3")
    if ctypes.CDLL(None, use_errno=True).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl refused")
    done = library.seccomp_load(context)
    if done:
        raise OSError(-done, "seccomp_load refused")


if __name__ == "__main__":
    confine(Path(sys.argv[1]).read_text("utf-8"))
    os.execvp(sys.argv[2], sys.argv[2:])
