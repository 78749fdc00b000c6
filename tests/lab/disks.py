"""The guest's disks: read-only images of Python and of the checkout, and empty ones to work on.

Images are squashfs without compression: under emulation the guest's time is dear, the host's disk is cheap.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.lab.base import HOME, REPO, LabError, lock, size, step, tool

Ignore = Callable[[str, list[str]], set[str]]
"""Of the names in a folder those that do not count, as shutil.ignore_patterns() gives them."""
VENV = REPO / ".venv"
PYTHON = VENV / "bin" / "python"
NOT_IN_GUEST = {
    "venv": (
        "bin/ruff",
        "bin/mypy*",
        "lib/*/site-packages/mypy*",
        "lib/*/site-packages/pip",
        "lib/*/site-packages/virtme*",
    ),
    "stdlib": ("site-packages", "dist-packages", "test", "idlelib", "lib2to3", "tkinter", "turtledemo", "config-*"),
}
PLAIN = ("-quiet", "-no-progress", "-noI", "-noD", "-noF", "-noX")
NOT_IN_CHECKOUT = shutil.ignore_patterns(
    ".git", ".venv", ".tools", ".docs", ".mutants", ".lab", "*_cache", ".hypothesis", "__pycache__", "build", "dist"
)


def venv() -> Path:
    """The image of the virtual environment, made anew only when a file in it changed.

    Raises:
        LabError: there is no virtual environment.
    """
    if not PYTHON.exists():
        raise LabError(f"{VENV.name}: no virtual environment. Make it: make setup")
    return _cached("venv", [VENV], _without("venv"))


def stdlib() -> Path:
    """The image of the interpreter's standard library."""
    return _cached("stdlib", [library()], _without("stdlib"))


def library() -> Path:
    """The folder of the standard library that the virtual environment uses."""
    code = "import sysconfig; print(sysconfig.get_path('stdlib'))"
    return Path(tool(PYTHON, "-c", code, hint="Make the virtual environment anew: make clean setup").strip())


def tools(folders: Sequence[Path]) -> Path:
    """The image of folders of programs that the guest is to start, each by its name."""
    return _cached(f"tools-{folders[0].parents[1].name}", folders, ("-keep-as-directory",))


def checkout(work: Path) -> Path:
    """An image of the checkout as it is now, compiled for the guest, in the folder `work`.

    It is made once for all guests that start with the same files.
    """
    folder, image = HOME / "disks", work / "checkout.sqfs"
    folder.mkdir(parents=True, exist_ok=True)
    with lock("checkout"):
        kept = folder / f"checkout-{_state([REPO], NOT_IN_CHECKOUT)}.sqfs"
        if not kept.exists():
            for old in folder.glob("checkout-*"):
                old.unlink()
            _staged(work / "checkout", image)
            image.rename(kept)
        image.hardlink_to(kept)  # which the next change of a file deletes, maybe before this guest has opened it
    return image


def _staged(stage: Path, image: Path) -> None:
    shutil.copytree(REPO, stage, ignore=NOT_IN_CHECKOUT, symlinks=True)
    (stage / ".venv").mkdir()
    (stage / ".lab").mkdir()
    _compile(stage)
    _squash([stage], image)
    shutil.rmtree(stage)


def _compile(stage: Path) -> None:
    """Compile the staged checkout, as if it lay at its place; what does not compile is the command's to complain of."""
    # The staged times are the copy's, so the guest must not compare them: unchecked.
    flags = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(stage), "-p", str(REPO)]
    subprocess.run([PYTHON, "-m", "compileall", *flags, stage], capture_output=True, check=False)


def scratch(work: Path, number: int, text: str) -> Path:
    """An empty disk of the size `text` (as `256M`); number 0 carries an ext4 file system, the others are raw."""
    image = work / f"scratch{number}.raw"
    with image.open("wb") as file:
        file.truncate(size(text))
    if number == 0:
        tool("mkfs.ext4", "-q", "-F", "-m", "0", image, hint="Give the disk 16M or more.")
    return image


def _without(name: str) -> tuple[str, ...]:
    return ("-wildcards", "-e", *NOT_IN_GUEST[name])


def _cached(name: str, sources: Sequence[Path], options: Sequence[str]) -> Path:
    """The image of the sources, named after the state of their files."""
    folder = HOME / "disks"
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / f"{name}-{_state(sources)}.sqfs"
    with lock("disks"):
        if not image.exists():
            # A guest that still runs keeps the old image's inode.
            for old in folder.glob(f"{name}-*"):
                old.unlink()
            part = folder / f"{name}.part"
            part.unlink(missing_ok=True)
            with step(f"packing a disk for the guest: {name}"):
                _squash(sources, part, options)
            part.rename(image)
    return image


def _squash(sources: Sequence[Path], image: Path, options: Sequence[str] = ()) -> None:
    tool("mksquashfs", *sources, image, *PLAIN, *options, hint="Is the disk full?")


def _state(sources: Sequence[Path], ignore: Ignore = lambda _folder, _names: set()) -> str:
    """A digest of every file's name, size and time of change, but for what is ignored."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(f"{source}\n".encode())
        for folder, folders, files in os.walk(source):
            ignored = ignore(folder, [*folders, *files])
            folders[:] = sorted({*folders} - ignored)
            for file in sorted({*files} - ignored):
                status = os.lstat(os.path.join(folder, file))
                digest.update(f"{folder}/{file} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
