"""``rctl schema``: the JSON Schema of specs, for editors."""

from __future__ import annotations


def schema() -> None:
    """Print the JSON Schema of the spec that apply and diff read."""
    from ...console.output import as_json, say
    from ...schema import schema as spec_schema

    say(as_json(spec_schema()))
