"""What a client takes: the format and the encoding of a page, by its Accept headers (RFC 9110, 12.4 and 12.5)."""

from __future__ import annotations

import re
from collections.abc import Iterator

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_WEIGHT = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\Z", re.ASCII)
_TEXT_RANGES = ("text/plain", "text/*", "*/*")


def wants_openmetrics(accept: str) -> bool:
    """Whether a client prefers OpenMetrics 1 to the Prometheus text format, or likes both as much."""
    openmetrics = 0.0
    text: dict[str, float] = {}
    for word, parameters, weight in _weighted(accept):
        if word == "application/openmetrics-text" and parameters.get("version", "1").split(".")[0] == "1":
            openmetrics = max(openmetrics, weight)
        elif word in _TEXT_RANGES:
            text[word] = max(text.get(word, 0.0), weight)
    closest = next((text[word] for word in _TEXT_RANGES if word in text), 0.0)
    return openmetrics > 0 and openmetrics >= closest


def wants_gzip(accept_encoding: str) -> bool:
    """Whether a client takes gzip."""
    weights = {word.removeprefix("x-"): weight for word, _, weight in _weighted(accept_encoding)}
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _weighted(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Each element of a header: its word, its parameters, its weight (1 where none, or none that can be read)."""
    for element in header.split(","):
        word, *rest = (part.strip() for part in element.lower().split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {name.strip(): value.strip().strip('"') for name, _, value in pairs}
        weight = parameters.get("q", "")
        yield word, parameters, float(weight) if _WEIGHT.match(weight) else 1.0
