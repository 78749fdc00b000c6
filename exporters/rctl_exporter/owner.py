"""The labels that say what a VE is: its owner, its unit, container, image and pod. Pure."""

from __future__ import annotations

from rctl.names.identity import Identity

LABELS = ("backend", "cgroup", "container", "image", "namespace", "owner", "pod", "unit")
"""Labels of the info metric beside ``ve``. Those that a VE does not have are left out."""


def readable(text: str) -> str:
    """A cgroup's name as UTF-8, because labels must be UTF-8. Two names never become alike.

    A byte that is no UTF-8 becomes the replacement character U+FFFD and the byte in hexadecimal; so do the bytes of
    that character itself. All other names stay as they are, also the ``\\xff`` of systemd's units.
    """
    return text if text.isascii() else "".join(map(_spelled, text))


def _spelled(letter: str) -> str:
    if letter == "\ufffd" or "\udc80" <= letter <= "\udcff":
        return "".join(f"\ufffd{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
    return letter


def info(identity: Identity, path: str) -> dict[str, str]:
    """The labels of a VE, in the order of ``LABELS``. ``backend`` is the owner; ``other`` where it is nobody."""
    known = identity.labels
    known |= {"backend": "other" if identity.owner == "nobody" else identity.owner, "cgroup": path}
    return {label: readable(known[label]) for label in LABELS if label in known}
