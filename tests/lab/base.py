"""What the other files of the lab share: its folder, its error, its lock, its way to run a tool."""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
HOME = REPO / ".lab"
"""All that the lab makes: kernels, disks, answers. Ignored by git; delete it to start anew."""


class LabError(Exception):
    """The lab cannot do what was asked. The message is one line: thing, cause, remedy."""


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the lab's lock `name`; wait while another process holds it."""
    HOME.mkdir(exist_ok=True)
    with (HOME / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what takes its time before it begins, and at its end how long it took."""
    begin = time.monotonic()
    print(f"lab: {text}", flush=True)
    yield
    print(f"lab: done in {time.monotonic() - begin:.0f} s", flush=True)


def tool(*command: str | Path, cwd: Path | None = None, hint: str) -> str:
    """Run a system tool and return what it prints.

    Raises:
        LabError: it is missing or fails; the message ends with `hint`.
    """
    words = [os.fspath(word) for word in command]
    env = os.environ | {"LC_ALL": "C", "PATH": search_path()}
    try:
        done = subprocess.run(words, cwd=cwd, env=env, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise LabError(f"{words[0]}: not found. Install it: tests/lab/packages") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or error.stdout.strip() or "no message").splitlines()[-1]
        raise LabError(f"{words[0]}: ended with {error.returncode}: {last}. {hint}") from None
    return done.stdout


def search_path() -> str:
    """PATH with the system folders that an unprivileged user may lack."""
    return os.pathsep.join([os.environ.get("PATH", "/usr/bin:/bin"), "/usr/sbin", "/sbin"])


def size(text: str) -> int:
    """Bytes in a size such as `512M` or `2G`; a bare number is bytes.

    Raises:
        LabError: not a size.
    """
    units = {"K": 10, "M": 20, "G": 30}
    digits, unit = (text[:-1], text[-1].upper()) if text[-1:].upper() in units else (text, "")
    if not digits.isdecimal():
        raise LabError(f"size {text!r}: not a number with K, M or G. Write it as 512M or 2G.")
    return int(digits) << units.get(unit, 0)
