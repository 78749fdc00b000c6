"""Basic authentication (RFC 7617) against bcrypt hashes, as costly for an unknown user as for a known one."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import Executor

from ..optional_libraries import needed

_REMEMBERED = 256
_SIGNIFICANT = 72
"""bcrypt uses only the first 72 bytes of a password."""


class Users:
    """The users that may ask. A password is checked once; the result is kept as a digest with this process's secret.

    Right and wrong passwords are kept apart, so that wrong ones never push out right ones.
    """

    def __init__(self, hashes: Mapping[str, str], thread: Executor) -> None:
        """``hashes``: bcrypt hashes by user; at least one. ``thread``: checks passwords, one at a time."""
        with needed():
            import bcrypt
        self._check = bcrypt.checkpw
        self._hashes = {name: value.encode() for name, value in hashes.items()}
        self._stand_in = max(self._hashes.values(), key=lambda value: value[4:6])
        self._thread = thread
        self._secret = os.urandom(32)
        self._right: dict[bytes, None] = {}
        self._wrong: dict[bytes, None] = {}

    async def allow(self, authorization: str) -> bool:
        """True if a request's Authorization header has a user with the right password."""
        pair = _pair(authorization)
        if pair is None:
            return False
        user, password = pair
        known = user in self._hashes
        stored = self._hashes.get(user, self._stand_in)
        digest = self._digest(user, stored, password)
        if digest in self._right:
            return True
        if digest in self._wrong:
            return False
        loop = asyncio.get_running_loop()
        fits = await loop.run_in_executor(self._thread, self._fits, password, stored)
        _remember(self._right if known and fits else self._wrong, digest)
        return known and fits

    def _fits(self, password: bytes, stored: bytes) -> bool:
        try:
            return self._check(password[:_SIGNIFICANT], stored)
        except ValueError:  # the password has a NUL byte; no stored one can
            return False

    def _digest(self, user: str, stored: bytes, password: bytes) -> bytes:
        name = user.encode()
        text = b"%d:%b:%b:%b" % (len(name), name, stored, password)
        return hashlib.blake2b(text, key=self._secret, digest_size=32).digest()


def _remember(verdicts: dict[bytes, None], digest: bytes) -> None:
    while len(verdicts) >= _REMEMBERED:
        del verdicts[next(iter(verdicts))]
    verdicts[digest] = None


def _pair(authorization: str) -> tuple[str, bytes] | None:
    scheme, _, word = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(word.strip(), validate=True).partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None
