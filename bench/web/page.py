"""The table for the terminal, and `report.html` with charts of the latencies."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import numpy as np

from bench.figures import Figure, State
from bench.gate.timing import histogram
from bench.suite import Result
from edge.report.html import CSS

_WIDTH, _HEIGHT, _LEFT, _FOOT = 720, 240, 44, 34
_SHARES = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99)
_LINES = ("", "6 3", "2 3", "10 4 2 4")  # distinct without colour


def table(result: Result) -> Iterator[str]:
    """Lines of text: targets first, then the numbers behind them."""
    for title, rows in _sections(result):
        yield f"\n{title}"
        for row in rows:
            spread = f"[{_short(row.least)} .. {_short(row.most)}]" if row.least is not None else ""
            yield (
                f"  {row.name:<50} {_short(row.value):>9} {row.unit:<8}{row.target:<9}"
                f"{spread:<20}{row.word}{'  ' + row.note if row.note else ''}".rstrip()
            )
    for name, value in result.environment.items():
        yield f"  {name}: {value}"


def render(result: Result) -> str:
    """A self-contained page."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width">',
        f"<title>framegate bench</title><style>{CSS}</style><h1>framegate bench</h1>",
        "<p class=note>Ratios are between candidates that took turns in this run. Absolute times "
        "belong to this machine and this hour.",
    ]
    for size in ("VGA", "720p"):
        chosen = {k: v for k, v in result.latencies.items() if k.startswith(size) and v.size}
        if chosen:
            parts.append(_section(size, chosen))
    for title, rows in _sections(result):
        parts.append(f"<section><h2>{escape(title)}</h2>{_html_table(rows)}</section>")
    where = "".join(
        f"<dt>{escape(name)}<dd>{escape(str(value))}" for name, value in result.environment.items()
    )
    parts.append(f"<section><h2>Environment</h2><dl>{where}</dl></section></html>")
    return "\n".join(parts)


def _sections(result: Result) -> list[tuple[str, list[Figure]]]:
    return [
        ("Targets", [f for f in result.figures if f.target]),
        ("Numbers behind them", [f for f in result.figures if not f.target]),
    ]


def _section(size: str, chosen: dict[str, np.ndarray]) -> str:
    lowest = min(float(v.min()) for v in chosen.values())
    highest = max(float(v.max()) for v in chosen.values())
    low, high = np.floor(np.log10(max(lowest, 1e3))), np.ceil(np.log10(max(highest, 1e4)))
    top, bottom = 10.0, _HEIGHT - _FOOT

    def y(value_ns: float) -> float:
        share = (np.log10(max(value_ns, 10**low)) - low) / max(high - low, 1)
        return float(bottom - share * (bottom - top))

    def x(index: float) -> float:
        return _LEFT + index * (_WIDTH - _LEFT - 30) / (len(_SHARES) - 1)

    drawn = []
    for power in range(int(low), int(high) + 1):
        at = y(10.0**power)
        drawn.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{at:.1f}" y2="{at:.1f}"/>'
            f'<text x="0" y="{at + 4:.1f}">{_time(10.0**power)}</text>'
        )
    for i, share in enumerate(_SHARES):
        name = "best" if i == 0 else f"p{share:g}"
        drawn.append(f'<text x="{x(i):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{name}</text>')
    lines, keys = [], []
    for (name, values), dashes in zip(chosen.items(), _LINES, strict=False):
        counts = histogram(values)
        points = " ".join(
            f"{x(i):.1f},{y(counts.get_value_at_percentile(share)):.1f}"
            for i, share in enumerate(_SHARES)
        )
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="2"'
            f' stroke-dasharray="{dashes}"/>'
        )
        label = escape(name.partition(" ")[2])
        sample = (
            '<svg width="36" height="8" style="display:inline-block"><line x1="0" x2="36" y1="4"'
            f' y2="4" stroke="currentColor" stroke-width="2" stroke-dasharray="{dashes}"/></svg>'
        )
        keys.append(f"<span class=key>{sample} {label}, {values.size} frames</span>")
    return (
        f"<section><h2>{size}: from the moment a frame was due to the matcher</h2><figure>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" width="100%"'
        f' aria-label="Latency by share of frames, {size}">'
        f"<g class=axis>{''.join(drawn)}</g>{''.join(lines)}</svg>"
        f"<figcaption>{''.join(keys)}</figcaption></figure></section>"
    )


def _html_table(rows: list[Figure]) -> str:
    cells = []
    for row in rows:
        tried = row.state is not State.NOT_TRIED
        value = f"{_short(row.value)} {row.unit}" if tried else ""
        basis = (row.basis.value if tried else "", row.note)
        style = {State.MISSED: "no", State.NOT_TRIED: ""}.get(row.state, "ok")
        spread = f"{_short(row.least)} to {_short(row.most)}" if row.least is not None else ""
        cells.append(
            f'<tr><td data-head="Figure">{escape(row.name)}'
            f'<td data-head="Value" class=num>{value}'
            f'<td data-head="Spread" class=num>{spread}'
            f'<td data-head="Target">{escape(row.target)}'
            f'<td data-head="Result" class="{style}">{row.word}'
            f'<td data-head="Basis">{escape("; ".join(word for word in basis if word))}'
        )
    heads = "".join(f"<th>{h}" for h in ("Figure", "Value", "Spread", "Target", "Result", "Basis"))
    return f"<table><thead><tr>{heads}</thead><tbody>{''.join(cells)}</tbody></table>"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _time(nanoseconds: float) -> str:
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= scale:
            return f"{nanoseconds / scale:g} {unit}"
    return f"{nanoseconds:g} ns"
