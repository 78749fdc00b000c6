r"""The cgroups of rctl's own VEs: where they lie, and how they are called.

On a host that systemd runs, each VE is a unit of its own: ``/rctl-web1.service`` is made by the system's manager, and
``/user.slice/user-1000.slice/user@1000.service/rctl-web1.service`` by that of user 1000. Characters that no unit's name
may have are escaped as systemd does it: ``\x40`` is ``@``. Pure, except ``usual``.
"""

import os

import msgspec

from ..late_regex import regex

BOOTED = "/run/systemd/system"  # sd_booted(3)
USER_MANAGER = "/run/user/{uid}/systemd"
"""This folder is there while the manager of the user runs."""
_UNIT = regex(r"(?:/user\.slice/user-([0-9]+)\.slice/user@\1\.service)?/rctl-[^/]+\.service")
_ESCAPED = {"@": r"\x40", "+": r"\x2b"}
"""The characters of ``formats.VE_NAME`` that are escaped in a unit's name. ``@`` would make it an instance."""


class Naming(msgspec.Struct, frozen=True):
    """``base``: the cgroup that holds the VEs. ``prefix`` and ``suffix`` stand around each VE's name.

    With a suffix, VEs are units of systemd.
    """

    base: str = "/"
    prefix: str = "rctl-"
    suffix: str = ""

    def component(self, name: str) -> str:
        """The name of the cgroup of the VE ``name``."""
        if self.suffix:
            for plain, escaped in _ESCAPED.items():
                name = name.replace(plain, escaped)
        return f"{self.prefix}{name}{self.suffix}"

    def name(self, component: str) -> str:
        """The name of the VE whose cgroup has this name; empty, or no VE's name, if it is not one of rctl's own."""
        if not (component.startswith(self.prefix) and component.endswith(self.suffix)):
            return ""
        name = component[len(self.prefix) : len(component) - len(self.suffix)]
        if self.suffix:
            for plain, escaped in _ESCAPED.items():
                name = name.replace(escaped, plain)
        return name


def usual() -> Naming:
    """The place of the caller's VEs, unless something else was asked for.

    On a host that systemd runs, users with a manager of their own have their own VEs; the others see root's.
    """
    if not os.access(BOOTED, os.F_OK):
        return Naming()
    uid = os.geteuid()
    if uid == 0 or not os.access(USER_MANAGER.format(uid=uid), os.F_OK):
        return system()
    return Naming(f"/user.slice/user-{uid}.slice/user@{uid}.service", suffix=".service")


def system() -> Naming:
    """The place of root's VEs."""
    return Naming(suffix=".service" if os.access(BOOTED, os.F_OK) else "")


def is_unit(path: str) -> bool:
    """True if ``path`` is the cgroup of a VE that is a unit: of the system's manager, or of a user's."""
    return path.endswith(".service") and "/rctl-" in path and _UNIT.fullmatch(path) is not None
