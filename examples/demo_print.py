"""How the demo looks: headings, commands, results, and the closing table. Plain text unless colour is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BOLD, DIM, RED, GREEN = "1", "2", "31", "32"
HEAD = ("", "ASKED", "BEFORE", "MEASURED", "ERROR", "ALLOWED", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the closing table. ``error`` and ``low``..``high``, what is allowed, are fractions of ``asked``."""

    what: str
    unit: str
    asked: float
    before: float
    measured: float
    low: float = 0.0
    high: float = 0.0

    @property
    def error(self) -> float:
        """How far off, as a fraction of what was asked."""
        return (self.measured - self.asked) / self.asked if self.asked else self.measured

    @property
    def good(self) -> bool:
        """Whether that is allowed."""
        return self.low <= self.error <= self.high

    def cells(self) -> tuple[str, ...]:
        """As text, one a column of HEAD."""
        figures = (f"{number(value)} {self.unit}".strip() for value in (self.asked, self.before, self.measured))
        return (self.what, *figures, f"{100 * self.error:+.1f} %", self._allowed(), "ok" if self.good else "OFF")

    def _allowed(self) -> str:
        if self.low == self.high == 0:
            return "exact"
        low, high = (f"{100 * value:+.0f}" for value in (self.low, self.high))
        return f"±{high[1:]} %" if -self.low == self.high else f"{low}..{high} %"


def number(value: float) -> str:
    """Three figures, whole numbers as such: 0.251, 5.02, 117, 2."""
    return f"{value:.0f}" if value == int(value) or value >= 100 else f"{value:.3g}"


class Printer:
    """Writes to standard output, each line at once."""

    def __init__(self, color: bool) -> None:
        self._color = color

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._color else text

    def line(self, text: str = "") -> None:
        """A plain line."""
        print(text, flush=True)

    def stage(self, text: str) -> None:
        """Progress, before the curtain rises."""
        self.line(self._styled(f"demo: {text}", DIM))

    def heading(self, text: str) -> None:
        """What comes next."""
        self.line("\n" + self._styled(text, BOLD))

    def command(self, text: str, comment: str = "") -> None:
        """A command or statement as one would type it, before it runs."""
        self.line(f"  {self._styled(text, BOLD)}" + (self._styled(f"    # {comment}", DIM) if comment else ""))

    def output(self, text: str) -> None:
        """What a command printed."""
        for line in text.splitlines():
            self.line("    " + self._styled(line, DIM))

    def result(self, text: str) -> None:
        """What was measured."""
        self.line(f"  => {text}")

    def table(self, rows: Sequence[Row]) -> None:
        """The closing table; figures to the right."""
        cells = [HEAD, *(row.cells() for row in rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(HEAD))]
        for at, row in enumerate(cells):
            aligned = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:-1], widths[1:-1], strict=True))]
            line = "  " + "  ".join(aligned)
            style = BOLD if at == 0 else GREEN if rows[at - 1].good else RED
            self.line(self._styled(line.rstrip(), BOLD) if at == 0 else f"{line}  {self._styled(row[-1], style)}")
