"""The format and the encoding of a page, by the client's Accept headers (RFC 9110, 12.4 and 12.5)."""

from __future__ import annotations

import re
from collections.abc import Iterator

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPENMETRICS_0 = "application/openmetrics-text; version=0.0.1; charset=utf-8"
"""The version that Prometheus asked for before 1.0.0. A page of rctl is the same in both versions."""
_VERSIONS = {"": OPENMETRICS, "1.0.0": OPENMETRICS, "0.0.1": OPENMETRICS_0}

_WEIGHT = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\Z", re.ASCII)
_TEXT_RANGES = ("text/plain", "text/*", "*/*")


def content_type(accept: str) -> str:
    """The Content-Type of the format that a client prefers; of several with equal preference, the newest.

    A client that takes none of them gets the Prometheus text format, as from every exporter.
    """
    weights = {OPENMETRICS: 0.0, OPENMETRICS_0: 0.0}
    text: dict[str, float] = {}
    for word, parameters, weight in _weighted(accept):
        if word == "application/openmetrics-text" and (kind := _VERSIONS.get(parameters.get("version", ""))):
            weights[kind] = max(weights[kind], weight)
        elif word in _TEXT_RANGES:
            text[word] = max(text.get(word, 0.0), weight)
    weights[TEXT] = next((text[word] for word in _TEXT_RANGES if word in text), 0.0)
    best = max(weights, key=weights.__getitem__)
    return best if weights[best] > 0 else TEXT


def wants_gzip(accept_encoding: str) -> bool:
    """True if a client takes gzip."""
    weights = {word.removeprefix("x-"): weight for word, _, weight in _weighted(accept_encoding)}
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _weighted(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Each element of a header: its word, its parameters, and its weight (1 if it is missing or cannot be read)."""
    for element in header.split(","):
        word, *rest = (part.strip() for part in element.lower().split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {name.strip(): value.strip().strip('"') for name, _, value in pairs}
        weight = parameters.get("q", "")
        yield word, parameters, float(weight) if _WEIGHT.match(weight) else 1.0
