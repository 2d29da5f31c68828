"""The pictures of a search as one HTML page: SVG written by hand, nothing fetched, some kilobytes.

A page of plotly carries its 4 MB of JavaScript with it, and matplotlib is a dependency that nothing else
here has; four plots of points and lines are less than either.
"""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from whet.search_record import TrialRecord, complete, shown, told

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 300, 60, 20, 16, 40  # pixels
_MOST_NAMED: Final = 12  # options of a choice that are written at its axis
_COLOURS: Final = {"complete": "#1f6f8b", "stopped": "#c9a227", "failed": "#333333", "out of time": "#888888"}
_WINNER: Final = "#d1495b"
_LEGEND: Final = "Red is the winner, blue was trained to the end, ochre stopped, black failed"
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:800px;margin:2em auto;padding:0 1em;color:#222}"
    "svg{width:100%;height:auto;background:#fff}svg text{font-size:12px;fill:#444}"
    "table{border-collapse:collapse;font-size:13px}td,th{padding:2px 8px;text-align:right}"
    "td:last-child,th:last-child{text-align:left}pre{white-space:pre-wrap}"
)


def page(
    title: str,
    lines: Iterable[str],
    records: Sequence[TrialRecord],
    importances: Mapping[str, float],
    winner: int,
    by: str,
) -> str:
    """The whole page. lines are said at its top; by is the figure that the search chose by."""
    drawn = history(records, winner)
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        *(f"<p>{html.escape(line)}</p>" for line in lines),
        _figure("History", f"dev's {by} of each trial, in grey the best so far. {_LEGEND}", drawn),
        _figure("Rungs", "dev at shares of the schedule; a short line was stopped", rungs(records, winner)),
        _figure("Parallel coordinates", "a line a trial; the darker the better", parallel(records, winner)),
        _figure("Importance", "share of the scores' variance (fANOVA)", importance(importances)),
        _table(records),
    ]
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return f"<!doctype html><html><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def history(records: Sequence[TrialRecord], winner: int) -> str:
    """A point a trial, in their order; one that was stopped stands at its last rung."""
    points = [(one, score) for one in records if (score := _last(one)) is not None]
    if not points:
        return _empty("No trial has a score.")
    x = _scale(0, max(1, max(one.number for one in records)), _LEFT, _WIDTH - _RIGHT)
    y = _scale(*_span([score for _, score in points]), _HEIGHT - _BOTTOM, _TOP)
    so_far: list[tuple[float, float]] = []
    highest = -math.inf
    for one, score in points:
        if one.state == "complete":
            highest = max(highest, score)
            so_far.append((x(one.number), y(highest)))
    drawn = [_polyline(so_far, "#999999")]
    drawn += [_dot(x(one.number), y(score), one, one.number == winner, score) for one, score in points]
    return _svg([*_axes(y, [score for _, score in points], "trial"), *_numbers(x, records), *drawn])


def rungs(records: Sequence[TrialRecord], winner: int) -> str:
    """A line a trial over shares of its schedule, up to where it came."""
    paths = [(one, _path(one)) for one in records]
    paths = [(one, path) for one, path in paths if path]
    if not paths:
        return _empty("No trial came to a rung.")
    x = _scale(0, 100, _LEFT, _WIDTH - _RIGHT)
    scores = [score for _, path in paths for _, score in path]
    y = _scale(*_span(scores), _HEIGHT - _BOTTOM, _TOP)
    drawn = []
    for one, path in paths:
        places = [(x(percent), y(score)) for percent, score in path]
        colour = _colour(one, winner)
        drawn.append(_polyline(places, colour))
        drawn += [_dot(*place, one, one.number == winner, path[i][1]) for i, place in enumerate(places)]
    stands = sorted({percent for _, path in paths for percent, _ in path})
    marks = [_text(x(percent), _HEIGHT - _BOTTOM + 16, f"{percent}%", "middle") for percent in stands]
    return _svg([*_axes(y, scores, "share of the schedule"), *marks, *drawn])


def parallel(records: Sequence[TrialRecord], winner: int) -> str:
    """An axis a setting and one for the score; a line for each trial that was trained to the end."""
    done = complete(records)
    names = list(dict.fromkeys(name for one in done for name in one.point))
    done = [one for one in done if all(name in one.point for name in names)]
    if not names or not done:
        return _empty("No trial was trained to the end.")
    x = _scale(0, len(names), _LEFT, _WIDTH - _RIGHT - 20)
    axes = {name: _axis([one.point[name] for one in done]) for name in names}
    scores = [one.score or 0.0 for one in done]
    low, high = _span(scores)
    y = _scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    drawn = []
    for i, name in enumerate([*names, "score"]):
        drawn.append(_line(x(i), _TOP, x(i), _HEIGHT - _BOTTOM, "#bbbbbb"))
        drawn.append(_text(x(i), _HEIGHT - 8, name, "middle"))
    for i, name in enumerate(names):
        drawn += [_text(x(i) + 4, place + 4, words, "start") for words, place in axes[name][1]]
    drawn += [
        _text(x(len(names)) + 4, y(score) + 4, f"{score:.3f}", "start")
        for score in sorted({min(scores), max(scores)})
    ]
    for one in reversed(done):
        places = [(x(i), axes[name][0](one.point[name])) for i, name in enumerate(names)]
        places.append((x(len(names)), y(one.score or 0.0)))
        strength = 0.15 + 0.85 * (((one.score or 0.0) - low) / (high - low))
        colour = _WINNER if one.number == winner else _COLOURS["complete"]
        drawn.append(_polyline(places, colour, strength))
    return _svg(drawn)


def importance(shares: Mapping[str, float]) -> str:
    """A bar a setting."""
    if not shares:
        return _empty("Too few trials were trained to the end to tell.")
    x = _scale(0, 1, 180, _WIDTH - 80)
    drawn = []
    for i, (name, share) in enumerate(shares.items()):
        top = 10 + 28 * i
        drawn.append(_text(172, top + 14, name, "end"))
        drawn.append(
            f'<rect x="{x(0):.1f}" y="{top}" width="{x(share) - x(0):.1f}" height="20" '
            f'fill="{_COLOURS["complete"]}"/>'
        )
        drawn.append(_text(x(share) + 6, top + 14, f"{share:.0%}", "start"))
    return _svg(drawn, 20 + 28 * len(shares))


def _table(records: Sequence[TrialRecord]) -> str:
    rows = [
        f"<tr><td>{one.number}</td><td>{one.state}</td>"
        f"<td>{'-' if (score := _last(one)) is None else f'{score:.4f}'}</td>"
        f"<td>{one.seconds:.0f} s</td>"
        f"<td>{html.escape(told(one.number, one.point))}</td></tr>"
        for one in records
    ]
    head = "<tr><th>trial</th><th></th><th>dev</th><th>time</th><th>settings</th></tr>"
    return f"<h2>Trials</h2><table>{head}{''.join(rows)}</table>"


def _figure(title: str, words: str, svg: str) -> str:
    return f"<h2>{html.escape(title)}</h2><p>{html.escape(words)}</p>{svg}"


def _last(one: TrialRecord) -> float | None:
    """The score a trial stands at: its own, or that of its last rung."""
    if one.state == "complete":
        return one.score
    return one.rungs[max(one.rungs)] if one.rungs else None


def _path(one: TrialRecord) -> list[tuple[int, float]]:
    found = sorted(one.rungs.items())
    return [*found, (100, one.score)] if one.state == "complete" and one.score is not None else found


def _colour(one: TrialRecord, winner: int) -> str:
    return _WINNER if one.number == winner else _COLOURS.get(one.state, "#888888")


def _axis(values: Sequence[Any]) -> tuple[Any, list[tuple[str, float]]]:
    """Where a value stands, and the words at the axis. Numbers over a wide range stand on the logarithm's
    scale."""
    bottom, top = _HEIGHT - _BOTTOM, _TOP
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        low, high = min(values), max(values)
        is_log = low > 0 and high / low >= 5
        place = _scale(*_span([_log(value, is_log) for value in values]), bottom, top)
        ends = list(dict.fromkeys([low, high]))
        return (lambda value: place(_log(value, is_log))), [
            (f"{value:g}", place(_log(value, is_log))) for value in ends
        ]
    options = sorted({str(value) for value in values})
    place = _scale(-0.5, len(options) - 0.5, bottom, top)
    words = [(option[:20], place(i)) for i, option in enumerate(options[:_MOST_NAMED])]
    return (lambda value: place(options.index(str(value)))), words


def _log(value: float, is_log: bool) -> float:
    return math.log(value) if is_log else value


def _span(values: Sequence[float]) -> tuple[float, float]:
    """From a little below the lowest to a little above the highest."""
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.01 * max(abs(high), 1.0)
    return low - margin, high + margin


def _scale(low: float, high: float, start: float, end: float) -> Any:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _axes(y: Any, scores: Sequence[float], below: str) -> list[str]:
    ends = sorted({min(scores), max(scores)})
    return [
        _line(_LEFT, _HEIGHT - _BOTTOM, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM, "#bbbbbb"),
        _line(_LEFT, _TOP, _LEFT, _HEIGHT - _BOTTOM, "#bbbbbb"),
        *(_text(_LEFT - 6, y(score) + 4, f"{score:.3f}", "end") for score in ends),
        _text((_LEFT + _WIDTH) / 2, _HEIGHT - 6, below, "middle"),
    ]


def _numbers(x: Any, records: Sequence[TrialRecord]) -> list[str]:
    step = max(1, len(records) // 10)
    return [
        _text(x(one.number), _HEIGHT - _BOTTOM + 16, str(one.number), "middle")
        for one in records
        if one.number % step == 0
    ]


def _svg(drawn: Iterable[str], height: int = _HEIGHT) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img">{"".join(drawn)}</svg>'


def _empty(words: str) -> str:
    return f"<p><em>{html.escape(words)}</em></p>"


def _dot(x: float, y: float, one: TrialRecord, is_winner: bool, score: float) -> str:
    colour = _WINNER if is_winner else _COLOURS.get(one.state, "#888888")
    words = f"trial {one.number}, {one.state}: {score:.4f}; {shown(one.point)}"
    radius = 6 if is_winner else 4
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}">'
        f"<title>{html.escape(words)}</title></circle>"
    )


def _polyline(places: Sequence[tuple[float, float]], colour: str, strength: float = 1.0) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5" '
        f'stroke-opacity="{strength:.2f}"/>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'
