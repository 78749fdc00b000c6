"""Debian's kernels, fetched and unpacked into the lab's folder, never installed."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.lab.base import HOME, LabError, lock, step, tool

DEFAULT = "6.1"
SUITES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "bookworm-backports", "7": "sid"}
DEBOOTSTRAP = Path("/usr/sbin/debootstrap")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
HINT = "Check the network, or name a mirror: LAB_MIRROR=URL"


@dataclass(frozen=True, slots=True)
class Kernel:
    """An unpacked kernel: its name in the lab, its release, its folder, its image in that folder."""

    name: str
    release: str
    root: Path
    image: Path

    @property
    def modules(self) -> Path:
        """The folder for the guest's /lib/modules."""
        return self.root / "lib" / "modules"


def choose(name: str | None = None) -> str:
    """The kernel to use: `name`, else $LAB_KERNEL, else 6.1.

    Raises:
        LabError: a kernel that the lab does not know.
    """
    chosen = name or os.environ.get("LAB_KERNEL") or DEFAULT
    if chosen not in SUITES:
        raise LabError(f"LAB_KERNEL {chosen}: not known. Use one of: {', '.join(SUITES)}")
    return chosen


def find(name: str) -> Kernel | None:
    """The unpacked kernel `name`, or None when it has not been fetched."""
    root = HOME / "kernels" / name
    releases = [path.parent.name for path in root.glob("lib/modules/*/modules.dep")]
    images = [*root.glob("boot/vmlinuz-*"), *root.glob("usr/lib/modules/*/vmlinuz")]
    return Kernel(name, releases[0], root, images[0]) if releases and images else None


def prepare(name: str) -> Kernel:
    """Fetch and unpack the kernel `name` unless that is done; needs the network the first time (70-100 MB).

    Raises:
        LabError: the mirror does not answer, or a Debian tool fails.
    """
    with lock("kernels"):
        kernel = find(name)
        if kernel is None:
            with step(f"fetching and unpacking Debian's kernel {name} (some 70 MB)"):
                _fetch(name)
            kernel = find(name)
    if kernel is None:
        raise LabError(f"kernel {name}: no image or no modules in the package. Use another LAB_KERNEL, and report it")
    return kernel


def _fetch(name: str) -> None:
    work = HOME / "kernels" / f"{name}.part"
    shutil.rmtree(work, ignore_errors=True)
    (work / "lists" / "partial").mkdir(parents=True)
    (work / "root").mkdir()
    options = own_lists(work, SUITES[name])
    tool("apt-get", "update", "-qq", *options, hint=HINT)
    tool("apt-get", "download", "-qq", *options, *_packages(options), cwd=work, hint=HINT)
    for package in sorted(work.glob("*.deb")):
        tool("dpkg", "-x", package, work / "root", hint="Is the disk full?")
    _index(work / "root")
    target = HOME / "kernels" / name
    shutil.rmtree(target, ignore_errors=True)
    (work / "root").rename(target)
    shutil.rmtree(work)


def _index(root: Path) -> None:
    """List the modules' dependencies, as installing the package would."""
    modules = root / "lib" / "modules"
    if not modules.exists():
        modules.parent.mkdir(exist_ok=True)
        modules.symlink_to("../usr/lib/modules")
    for release in modules.iterdir():
        tool("depmod", "-b", root, release.name, hint="Is the disk full?")


def own_lists(work: Path, suite: str) -> list[str]:
    """Options that make apt use lists of ours and leave the machine's alone."""
    source = work / "sources.list"
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    source.write_text(f"deb {signed}{mirror()} {suite} main\n")
    settings = {
        "Dir::Etc::sourcelist": source,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::Lists": work / "lists",
        "Dir::State::status": "/dev/null",  # what is installed here may be newer than what the mirror has
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Acquire::Languages": "none",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "root",
    }
    return [f"-o{key}={value}" for key, value in settings.items()]


def mirror() -> str:
    """$LAB_MIRROR, else the mirror this machine takes Debian from, else Debian's own."""
    if mirror := os.environ.get("LAB_MIRROR"):
        return mirror
    listed = tool("apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", hint=HINT)
    found = re.search(r"^Debian Debian (\S+)$", listed, re.MULTILINE)
    return found[1].rstrip("/") if found else _usual_mirror()


def _usual_mirror() -> str:
    """The mirror that debootstrap uses unless told otherwise, on a machine whose own archive is not Debian's."""
    text = DEBOOTSTRAP.read_text() if DEBOOTSTRAP.exists() else ""
    if found := re.search(r'^DEF_MIRROR="(.+)"$', text, re.MULTILINE):
        return found[1]
    raise LabError("no mirror of Debian known here. Run tests/lab/packages, or name one: LAB_MIRROR=URL")


def _packages(options: list[str]) -> list[str]:
    """The packages that the suite's newest kernel consists of."""
    tree = tool("apt-cache", *options, "depends", "--recurse", "--important", "linux-image-amd64", hint=HINT)
    names = set(re.findall(r"^linux-(?:image|base|binary|modules)-\d\S*$", tree, re.MULTILINE))
    if not names:
        raise LabError(f"linux-image-amd64: the mirror offers none. {HINT}")
    return sorted(names)
