"""The disk of a host that systemd runs: a Debian with nginx, docker, podman and two users, made once and kept."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.lab.base import HOME, LabError, lock, size, step, tool
from tests.lab.kernel import HINT, KEYRING, Kernel, mirror, prepare
from tests.lab.systemd import python

HERE = Path(__file__).parent
SUITES = {"bookworm": "6.1", "trixie": "6.12"}
"""The lab's kernel for each suite of Debian. systemd is 252 in bookworm, 257 in trixie."""
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
PACKAGES = (
    "systemd-sysv", "systemd-container", "dbus", "dbus-user-session", "libpam-systemd", "udev", "kmod",
    "openssh-server", "nginx-light", "docker.io", "podman", "crun", "fuse-overlayfs", "slirp4netns", "uidmap",
    "iptables", "procps", "iproute2", "busybox-static", "python3", "ca-certificates",
)  # fmt: skip
MORE = {"trixie": ("docker-cli",)}
"""Packages that one suite alone needs."""
SIZE = "3G"


def suite(name: str | None = None) -> str:
    """The suite to use: ``name``, else $LAB_SUITE, else bookworm.

    Raises:
        LabError: a suite that the lab does not know.
    """
    chosen = name or os.environ.get("LAB_SUITE") or "bookworm"
    if chosen not in SUITES:
        raise LabError(f"LAB_SUITE {chosen}: not known. Use one of: {', '.join(SUITES)}")
    return chosen


def packages(name: str) -> tuple[str, ...]:
    """What is installed besides a minimal Debian."""
    return (*PACKAGES, *MORE.get(name, ()))


def kernel(name: str) -> Kernel:
    """The kernel of the suite; fetched the first time."""
    return prepare(SUITES[name])


def folder(name: str) -> Path:
    """The folder of the suite's image, by the content of what it is made from."""
    digest = hashlib.sha256(" ".join((name, SIZE, kernel(name).release, *packages(name))).encode())
    digest.update(python.digest())
    for file in ("customize", "first-boot", "join"):
        digest.update((HERE / file).read_bytes())
    return HOME / "systemd" / f"{name}-{digest.hexdigest()[:12]}"


def prepared(name: str) -> Path:
    """The folder with ``root.raw`` (the disk), ``key`` (for ssh as root); made the first time, in some minutes.

    Raises:
        LabError: a tool is missing or fails.
    """
    tool(HERE.parent / "packages", "mmdebstrap", "openssh-client", hint="See above")
    target = folder(name)
    with lock(f"systemd-{name}"):
        if not (target / "root.raw").exists():
            for old in target.parent.glob(f"{name}-*"):
                shutil.rmtree(old)
            target.mkdir(parents=True)
            with step(f"making a host with systemd: Debian {name} (some 300 MB of packages)"):
                _make(name, target)
    return target


def _make(name: str, target: Path) -> None:
    key = target / "key"
    tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", key, hint="Is the disk full?")
    root = target / "root"
    source = f"deb {f'[signed-by={KEYRING}] ' if KEYRING.exists() else ''}{mirror()} {name} main"
    tool(
        "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--aptopt=Acquire::Languages \"none\"",
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/man/*", "--skip=cleanup/apt/lists",
        f"--include={','.join(packages(name))}", name, root, source, hint=HINT,
    )  # fmt: skip
    tool("sh", HERE / "customize", root, f"{key}.pub", hint="See tests/lab/systemd/customize")
    _modules(kernel(name), root)
    python.install(root, PYTHONS[name], target)
    tool("chroot", root, "python3", "-m", "compileall", "-q", f"/{python.PLACE}", hint="See above")
    image = target / "root.part"
    with image.open("wb") as file:
        file.truncate(size(SIZE))
    tool(
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-F",
        "-m",
        "0",
        "-O",
        "^metadata_csum",
        "-d",
        root,
        image,
        hint="Is the disk full?",
    )
    shutil.rmtree(root)
    image.rename(target / "root.raw")


def _modules(found: Kernel, root: Path) -> None:
    """The kernel's modules, at their place in the guest."""
    place = root / "usr" / "lib" / "modules"
    place.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", found.modules / found.release, place], check=True)
