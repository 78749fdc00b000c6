"""What a container manager calls a container, checked: these texts come from files that users may have written."""

from __future__ import annotations

import re

import msgspec

from ..late_regex import regex

_NAME = regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}", re.ASCII)
_LONGEST_IMAGE = 512


class Called(msgspec.Struct, frozen=True):
    """The name of a container, and of its image. Empty: not known."""

    name: str = ""
    image: str = ""


UNKNOWN = Called()


def called(name: str, image: str) -> Called:
    """The names that docker and podman allow; empty in the place of another, or of an image that cannot be printed."""
    return Called(
        name if _NAME.fullmatch(name) else "",
        image if image.isascii() and image.isprintable() and len(image) <= _LONGEST_IMAGE else "",
    )
