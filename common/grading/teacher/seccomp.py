"""The system calls that students' code is refused: a seccomp filter, made by libseccomp for bubblewrap.

A limit on memory counts the pages of a process. It does not count what the kernel keeps on the process's behalf, nor a
file system in memory that the process mounts. So the filter refuses new namespaces and mounts (Flatpak refuses them as
well, in ``common/flatpak-run.c``), and whatever else holds memory that belongs to no process. Sockets hold some as
well: only those are left that Jupyter uses, with buffers of the usual size, and ``launch`` limits their number.
"""

import ctypes
import errno
import tempfile

from common.language import Message

LIBRARY = "libseccomp.so.2"
NAMESPACES = (
    "unshare setns mount umount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick "
    "mount_setattr"
)
UNCOUNTED = (
    "memfd_create memfd_secret shmget semget msgget mq_open vmsplice add_key request_key keyctl bpf perf_event_open "
    "userfaultfd fanotify_init io_uring_setup io_uring_enter io_uring_register"
)
CLONE_FLAGS = (  # of clone, from linux/sched.h: each asks for a new namespace
    0x00020000,  # CLONE_NEWNS
    0x02000000,  # CLONE_NEWCGROUP
    0x04000000,  # CLONE_NEWUTS
    0x08000000,  # CLONE_NEWIPC
    0x10000000,  # CLONE_NEWUSER
    0x20000000,  # CLONE_NEWPID
    0x40000000,  # CLONE_NEWNET
)
AF_UNIX = 1
SOL_SOCKET, SO_SNDBUF, SO_RCVBUF = 1, 7, 8
ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(0), from seccomp.h
BAD_ARCHITECTURE = 2  # SCMP_FLTATR_ACT_BADARCH: what happens to a call made as another architecture makes it
NOT_EQUAL, EQUAL, MASKED_EQUAL = 1, 4, 7  # SCMP_CMP_NE, SCMP_CMP_EQ, SCMP_CMP_MASKED_EQ


class SeccompError(RuntimeError):
    """The filter cannot be made; the text, a Message, says what is missing."""


class _Compare(ctypes.Structure):
    """``struct scmp_arg_cmp``: a condition on one argument of a call."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def program():
    """Return the filter as bytes, in the form that bubblewrap reads. Raises: SeccompError."""
    library = _library()
    rules = library.seccomp_init(ALLOW)
    if not rules:
        raise SeccompError(Message("libseccomp made no filter."))
    try:
        _call(library.seccomp_attr_set, rules, BAD_ARCHITECTURE, ERRNO | errno.EPERM)
        for name in f"{NAMESPACES} {UNCOUNTED}".split():
            _refuse(library, rules, name, errno.EPERM)
        for flag in CLONE_FLAGS:
            _refuse(library, rules, "clone", errno.EPERM, _Compare(0, MASKED_EQUAL, flag, flag))
        # The flags of clone3 lie in memory, where no filter sees them. Without clone3 the C library calls clone.
        _refuse(library, rules, "clone3", errno.ENOSYS)
        # libzmq asks for the network's interfaces, and takes this error for a system that has none.
        _refuse(library, rules, "socket", errno.EOPNOTSUPP, _Compare(0, NOT_EQUAL, AF_UNIX, 0))
        for option in (SO_SNDBUF, SO_RCVBUF):
            conditions = _Compare(1, EQUAL, SOL_SOCKET, 0), _Compare(2, EQUAL, option, 0)
            _refuse(library, rules, "setsockopt", errno.EPERM, *conditions)
        with tempfile.TemporaryFile() as file:
            _call(library.seccomp_export_bpf, rules, file.fileno())
            file.seek(0)
            return file.read()
    finally:
        library.seccomp_release(rules)


def _library():
    """Return libseccomp, with the types of its functions."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        raise SeccompError(Message("libseccomp is not installed (Debian, Ubuntu: apt install libseccomp2).")) from None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Compare))
    ]
    return library


def _refuse(library, rules, name, error, *conditions):
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number == -1:
        raise SeccompError(
            Message("libseccomp does not know the system call {name}: a newer one is needed (2.5.2).", name=name)
        )
    array = (_Compare * len(conditions))(*conditions)
    _call(library.seccomp_rule_add_array, rules, ERRNO | error, number, len(conditions), array)


def _call(function, *arguments):
    result = function(*arguments)
    if result < 0:
        failed = dict(function=function.__name__, error=errno.errorcode.get(-result, result))
        raise SeccompError(Message("libseccomp: {function} failed ({error}).", **failed))
