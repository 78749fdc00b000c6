"""The units as systemd is to read them: those of the package, with the path of this program, for root or for a user."""

from __future__ import annotations

import re
from importlib.resources import files

from .host import HostFacts

_SYSTEM_ONLY = re.compile(
    r"^(?:DynamicUser|CapabilityBoundingSet|AmbientCapabilities|Protect\w+|Private\w+|DevicePolicy|RestrictNamespaces"
    r"|RemoveIPC|KeyringMode|OOMPolicy)=.*\n|^After=\n",
    re.MULTILINE,
)
"""Settings that a user's systemd does not have, or that would put the service into a user namespace of its own."""
_SYSTEM_TARGETS = re.compile(r"\b(?:local-fs|network)\.target ?")
"""Targets that a user's systemd does not have."""
_ABOUT_ROOT = re.compile(
    r"^# cgroupfs is readable by all.*?(?=^[^#])|^# Of the file system:.*\n", re.MULTILINE | re.DOTALL
)


_NO_HOMES = "ProtectHome=tmpfs\nTemporaryFileSystem=/home:ro,mode=0755 /root:ro,mode=0755 /run/user:ro,mode=0755"
"""Empty homes in which folders can be shown.

systemd 257 gives the homes of ProtectHome=tmpfs the mode of the real ones, so the temporary user cannot enter /root.
The second line changes that. Alone it has no effect, because DynamicUser= implies ProtectHome=read-only.
"""


def unit(name: str, host: HostFacts) -> str:
    """The text of a unit of rctl's, for this host."""
    text = (files(__package__) / "units" / name).read_text()
    if not host.system:
        text = _SYSTEM_ONLY.sub("", _SYSTEM_TARGETS.sub("", _ABOUT_ROOT.sub("", text))).replace(
            "multi-user.target", "default.target"
        )
    elif host.in_homes and "ProtectHome=yes" in text:
        shown = " ".join(map(_quoted, host.in_homes))
        text = text.replace("ProtectHome=yes", f"{_NO_HOMES}\nBindReadOnlyPaths={shown}")
    given = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in host.variables.items())
    return text.replace("[Service]\n", f"[Service]\n{given}").replace(
        "ExecStart=rctl ", f"ExecStart={_quoted(host.program).replace('$', '$$')} "
    )


def _quoted(word: str) -> str:
    """One word of a setting (systemd.syntax(7), systemd.unit(5) on specifiers)."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return word if re.fullmatch(r"[\w/.@:+=%,-]+", word) else f'"{word}"'
