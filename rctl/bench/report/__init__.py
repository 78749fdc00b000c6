"""Results as one HTML file that needs no other file: tables, plots, verdicts, and the origin of each figure.

Plotly draws the plots; its script is in the file, so they work without a network. Every number is in a table, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import UsageError, not_installed
from ..figures.result import Result


def write(path: str, results: Sequence[Result]) -> None:
    """Write the report. Raises UsageError for a file that cannot be written, NotAvailableError without Plotly."""
    text = page(results)
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}. Give another file") from None


def check(path: str) -> None:
    """Check before the work that the report can be made and written. Raises as ``write`` does."""
    _plotly()
    try:
        with open(path, "a", encoding="utf-8"):
            pass
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}. Give another file") from None


def page(results: Sequence[Result]) -> str:
    """The report as HTML. Raises NotAvailableError without Plotly."""
    _plotly()
    from . import html, plots

    return html.page(results, plots.all_of(results))


def _plotly() -> None:
    from importlib.util import find_spec

    if find_spec("plotly") is None:
        raise not_installed("plotly", "report", "the report")
