"""The command line, as a process of its own with its own exit status, without starting Python anew each time."""

import os
import resource
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from rctl.cgroupfs.files import this_host
from rctl.limits import decode, nest
from tests.kernel.workload import until

NOBODY = 65534


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


def rctl(
    *words: str, stdin: str = "", user: int | None = None, env: dict[str, str] | None = None, open_files: int = 0
) -> Done:
    """Run `rctl WORDS`. `user`: as this user, without any other right. `open_files`: its hard limit, if any."""
    load_for_all()
    from rctl.cli import main

    def child() -> None:
        if open_files:
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
        _as_rctl(main, words, user, env or {})

    return forked(child, stdin)


def _as_rctl(main: Callable[[], None], words: tuple[str, ...], user: int | None, env: dict[str, str]) -> None:
    os.environ.update(env)
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    sys.argv = ["rctl", *words]
    main()


def forked(what: Callable[[], None], stdin: str = "") -> Done:
    """Run a function in a child whose standard streams are its own; it ends as a Python program would."""
    with tempfile.TemporaryFile() as into, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        into.write(stdin.encode())
        into.seek(0)
        pid = os.fork()
        if not pid:
            _child(what, (into.fileno(), out.fileno(), err.fileno()))
        status: list[int] = []

        def ended() -> bool:
            done, number = os.waitpid(pid, os.WNOHANG)
            status.extend([number] if done else [])
            return bool(done)

        until(ended, "the end of the command", 60)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
        return Done(os.waitstatus_to_exitcode(status[0]), *texts)


def _child(what: Callable[[], None], streams: tuple[int, int, int]) -> None:
    code: object = 1
    try:
        for target, fd in enumerate(streams):
            os.dup2(fd, target)
        # Such a child's own child opens them anew, and must not close what it opens.
        sys.stdin, sys.stdout, sys.stderr = (open(fd, "w" if fd else "r", closefd=False) for fd in range(3))  # noqa: SIM115 (as long as it lives)
        try:
            what()
        except SystemExit as end:
            code = end.code
        except BaseException:  # noqa: BLE001 (whatever it is, it must not reach the test in this child)
            sys.excepthook(*sys.exc_info())
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


@cache
def load_for_all() -> None:
    """Load all of rctl once, so that each command costs little, and one who may not read the checkout can run it."""
    import psutil  # noqa: F401

    package = Path(__file__).parents[2] / "rctl"
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        if not name.endswith("__main__"):
            import_module(name.removesuffix(".__init__"))
    for name in ("verbs", "files_to_read"):
        import_module(f"rctl_exporter.{name}")
    decode(nest({"pids.max": 5}), this_host())  # msgspec looks at all types of limits the first time
