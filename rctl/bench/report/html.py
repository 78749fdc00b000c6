"""The page around the plots: the run, the machine, the claims, and a table of every figure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import msgspec

from ..figures.result import MUST_AGREE, Figure, Result, Verdict, common, facts_of, on_map, verdict_of
from ..figures.text import budget, interval, left, shown
from .plots import COLOURS, Plot, place

_TITLES = {
    "claims": "The claims of 2006",
    "overhead": "The cost of a VE",
    "explain": "The parts of that cost",
    "adjust": "Changing limits: the engine's cost, and when a change is felt",
    "density": "VEs in 1 GB",
    "life": "Making, entering and removing a VE",
    "exporter": "What watching costs",
    "virtual": "Beside hardware virtualization",
}
_WORDS: dict[Verdict, str] = {
    "pass": "Every figure with a budget is within it.",
    "fail": "At least one figure is over its budget.",
    "cannot tell": "No figure is certainly over its budget; some cannot be judged.",
    "": "Nothing here has a budget.",
}
_MANY = 60
"""With more figures than this, the table of a heat map's figures is folded."""
_STYLE = """
:root{color-scheme:light}*{box-sizing:border-box}
body{margin:0;background:#f3f5f8;color:#1f2733;font:15px/1.5 system-ui,'DejaVu Sans',sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:27px;margin:0 0 4px}h2{font-size:20px;margin:0 0 10px}h3{font-size:15px;margin:18px 0 0;font-weight:600}
section,header{background:#fff;border:1px solid #dfe4ec;border-radius:10px;padding:20px 24px;margin:0 0 18px}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}
th{text-align:left;font-weight:600;color:#5a6577;border-bottom:2px solid #dfe4ec;padding:5px 10px 5px 0}
td{border-bottom:1px solid #edf0f5;padding:6px 10px 6px 0;vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.why{color:#5a6577;font-size:13px;overflow-wrap:anywhere}.badge{display:inline-block;border-radius:5px;padding:1px 8px;
color:#fff;font-size:12.5px;white-space:nowrap}.warn{background:#fff4dc;border-left:4px solid #c98a12;padding:8px 12px;
margin:10px 0}
.facts{display:flex;flex-wrap:wrap;gap:3px 22px;margin:12px 0 0;padding:0;list-style:none;font-size:13.5px}
.facts b{color:#5a6577;font-weight:500}code{font-size:13px;background:#f3f5f8;padding:1px 5px;border-radius:4px}
.sub{color:#5a6577;margin:0 0 6px}details{margin-top:14px}summary{cursor:pointer;color:#3867b7}
@media print{body{background:#fff}section,header{break-inside:avoid}}
"""


def page(results: Sequence[Result], plots: Sequence[Plot]) -> str:
    """The whole file. The same results always give the same text."""
    parts = [_section(result, plots, _own_facts(result, results)) for result in _ordered(results)]
    body = "".join([_head(results), *parts])
    script = _script() if plots else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>rctl measured</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style>{script}</head><body><main>{body}</main>{_drawn(plots)}</body></html>\n"
    )


def _ordered(results: Sequence[Result]) -> list[Result]:
    """The claims first, then the others in the order of their runs."""
    return sorted(results, key=lambda result: result.bench != "claims")


def _script() -> str:
    from plotly.offline import get_plotlyjs

    return f"<script>{get_plotlyjs()}</script>"


def _head(results: Sequence[Result]) -> str:
    verdict = verdict_of([result for result in results if result.bench != "claims"])
    when = max((result.time for result in results), default=0.0)
    commands = dict.fromkeys(result.command for result in results if result.command)
    took = left(sum(result.seconds for result in results))
    said = " ".join(f"<code>{escape(command)}</code>" for command in commands)
    warned = "".join(f"<p class=warn>{escape(text)}</p>" for text in _warnings(results))
    return (
        f"<header><h1>rctl measured</h1><p class=sub>{_badge(verdict)} {_WORDS[verdict]}</p>"
        f"<p class=sub>{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(when))}, {took} of measuring: {said}</p>"
        f"{warned}{_facts(_shared(results))}</header>"
    )


def _shared(results: Sequence[Result]) -> dict[str, str]:
    """The facts that all parts share."""
    clocks = {result.clock for result in results}
    return ({"clock": clocks.pop()} if len(clocks) == 1 else {}) | common(results)


def _warnings(results: Sequence[Result]) -> Iterator[str]:
    clocks = {result.clock for result in results if result.bench != "claims"}
    if "instructions" in clocks:
        yield (
            f"{'Measured' if len(clocks) == 1 else 'Partly measured'} on an instruction clock: time is the count of "
            "instructions, 2 ns each. It repeats to about 0.1 % and ignores caches. Ratios are meaningful; absolute "
            "times are simulated."
        )
    differ = {name: texts for name, texts in facts_of(results).items() if name in MUST_AGREE and len(texts) > 1}
    if differ:
        told = "; ".join(f"{name}: {' and '.join(texts)}" for name, texts in differ.items())
        yield f"Not measured on one machine, so figures of different parts cannot be compared: {told}"
    for result in results:
        if result.interrupted:
            yield f"{result.bench} was interrupted: it has only the figures up to then."


def _facts(facts: Mapping[str, str]) -> str:
    items = "".join(f"<li><b>{escape(name)}</b> {escape(text)}</li>" for name, text in facts.items())
    return f"<ul class=facts>{items}</ul>" if items else ""


def _own_facts(result: Result, results: Sequence[Result]) -> dict[str, str]:
    """The facts of this part alone."""
    if result.bench == "claims":
        return {}
    shared = common(results)
    clock = {"clock": result.clock} if len({one.clock for one in results}) > 1 else {}
    return clock | {name: text for name, text in result.machine.items() if name not in shared}


def _section(result: Result, plots: Sequence[Plot], facts: Mapping[str, str]) -> str:
    title = _TITLES.get(result.bench, result.bench)
    drawn = "".join(
        f"<h3>{escape(plot.title)}</h3><div id=plot{number}></div>"
        for number, plot in enumerate(plots)
        if plot.place == place(result)
    )
    table = _tables(result) if result.figures else "" if drawn else "<p class=sub>Nothing was measured.</p>"
    name = escape(place(result), quote=True)
    return f"<section id='{name}'><h2>{escape(title)}</h2>{drawn}{table}{_facts(facts)}</section>"


def _tables(result: Result) -> str:
    """All figures; if there are many, those of a heat map are folded."""
    if len(result.figures) <= _MANY:
        return _table(result.figures)
    mapped = on_map(result)
    folded = [figure for figure in result.figures if figure.group in mapped]
    others = [figure for figure in result.figures if figure.group not in mapped]
    rest = f"<details><summary>the {len(folded)} figures of the map</summary>{_table(folded)}</details>"
    return (_table(others) if others else "") + (rest if folded else "")


def _table(figures: Sequence[Figure]) -> str:
    head = "<tr><th>figure<th class=n>measured<th class=n>interval<th class=n>budget<th>verdict<th>origin</tr>"
    return f"<div class=scroll><table>{head}{''.join(map(_row, figures))}</table></div>"


def _row(figure: Figure) -> str:
    note = f"<br><b>{escape(figure.note)}</b>" if figure.note else ""
    cells = (shown(figure.value, figure.unit), interval(figure), budget(figure))
    numbers = "".join(f"<td class=n>{escape(cell)}" for cell in cells)
    why = f"{escape(figure.origin)}{note}"
    return f"<tr><td>{escape(figure.name)}{numbers}<td>{_badge(figure.verdict)}<td class=why>{why}</tr>"


def _badge(verdict: Verdict) -> str:
    return f'<span class=badge style="background:{COLOURS[verdict]}">{verdict}</span>' if verdict else ""


def _drawn(plots: Sequence[Plot]) -> str:
    if not plots:
        return ""
    options: dict[str, Any] = {"displaylogo": False, "responsive": True, "displayModeBar": False}
    calls = "".join(
        f"Plotly.newPlot('plot{number}',{_json(plot.data)},{_json(plot.layout)},{_json(options)});"
        for number, plot in enumerate(plots)
    )
    return f"<script>{calls}</script>"


def _json(data: Any) -> str:
    """JSON that cannot end the script around it."""
    return msgspec.json.encode(data).decode().replace("<", "\\u003c").replace("\u2028", "\\u2028")
