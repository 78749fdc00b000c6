"""The output of the demo: headings, commands, results, and the closing table. Plain text unless colour is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BOLD, DIM, RED, GREEN = "1", "2", "31", "32"
HEAD = ("", "ASKED", "BEFORE", "MEASURED", "ERROR", "ALLOWED", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the closing table. ``allowed``: the largest error, as a fraction of ``asked``.

    ``at_most``: the value asked for is a maximum, and less is no error. ``before``: ``None`` if there is no such value.
    """

    what: str
    unit: str
    asked: float
    before: float | None
    measured: float
    allowed: float = 0.0
    at_most: bool = False

    @property
    def error(self) -> float:
        """The error, as a fraction of the value asked for."""
        off = self.measured - self.asked
        return (max(0.0, off) if self.at_most else off) / (self.asked or 1.0)

    @property
    def good(self) -> bool:
        """True if the error is allowed."""
        return abs(self.error) <= self.allowed

    def cells(self) -> tuple[str, ...]:
        """The cells as text, one for each column of HEAD."""
        asked = ("≤ " if self.at_most else "") + number(self.asked)
        figures = (f"{text} {self.unit}".strip() for text in (asked, number(self.before), number(self.measured)))
        allowed = f"{'+' if self.at_most else '±'}{100 * self.allowed:.0f} %" if self.allowed else "exact"
        return (self.what, *figures, self._off(), allowed, "ok" if self.good else "OFF")

    def _off(self) -> str:
        return f"{100 * self.error:+.1f} %" if self.error else "0"

    def __str__(self) -> str:
        what, asked, before, measured, off, *_ = self.cells()
        change = measured if self.before is None else f"{before} -> {measured}"
        return f"{what}: {change} (asked {asked}" + (f", off by {off})" if self.error else ")")


def number(value: float | None) -> str:
    """Three figures, whole numbers without a point: 0.251, 5.02, 117, 2; a dash for ``None``."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value == int(value) or value >= 100 else f"{value:.3g}"


USUAL = 80
"""Columns without a terminal."""
INDENT = 4
"""Indentation of a command's output."""


class Printer:
    """Writes to standard output, each line at once."""

    def __init__(self, color: bool, width: int = 0) -> None:
        """``width``: columns of the terminal; 0: no limit."""
        self.color, self.width = color, width

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self.color else text

    def line(self, text: str = "") -> None:
        """A plain line."""
        print(text, flush=True)

    def stage(self, text: str) -> None:
        """Progress before the first heading."""
        self.line(self._styled(f"demo: {text}", DIM))

    def heading(self, text: str) -> None:
        """The heading of the next part."""
        self.line("\n" + self._styled(text, BOLD))

    def command(self, text: str, comment: str = "") -> None:
        """A command or statement, before it runs; a comment that is too long stands below it."""
        beside = f"    # {comment}" if comment else ""
        fits = len(f"  {text}{beside}") <= (self.width or USUAL)
        self.line(f"  {self._styled(text, BOLD)}" + (self._styled(beside, DIM) if fits else ""))
        if not fits:
            self.line(self._styled(beside, DIM))

    def output(self, text: str) -> None:
        """The output of a command."""
        for line in text.splitlines():
            self.line(" " * INDENT + self._styled(line, DIM))

    def result(self, text: str) -> None:
        """A measured result."""
        self.line(f"  => {text}")

    def table(self, rows: Sequence[Row]) -> None:
        """The closing table; figures are aligned to the right."""
        cells = [HEAD, *(row.cells() for row in rows)]
        shown = [i for i in range(len(HEAD)) if not self.width or i not in self._left_out(cells)]
        cells = [tuple(row[i] for i in shown) for row in cells]
        widths = [max(len(row[i]) for row in cells) for i in range(len(shown))]
        for at, row in enumerate(cells):
            aligned = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:-1], widths[1:-1], strict=True))]
            line = "  " + "  ".join(aligned)
            if at == 0:
                self.line(self._styled(line, BOLD))
            else:
                self.line(f"{line}  {self._styled(row[-1], GREEN if rows[at - 1].good else RED)}")

    def _left_out(self, cells: Sequence[Sequence[str]]) -> set[int]:
        """The columns that do not fit on a narrow terminal: first the allowed error, then the value before."""
        widths = [max(len(row[i]) for row in cells) + 2 for i in range(len(HEAD))]
        out: set[int] = set()
        for column in (HEAD.index("ALLOWED"), HEAD.index("BEFORE")):
            if sum(width for i, width in enumerate(widths) if i not in out) > self.width:
                out.add(column)
        return out
