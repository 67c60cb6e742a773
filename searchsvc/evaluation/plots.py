"""Two plots as SVG: the gain of every query, and the gain of variants against their harm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from searchsvc.evaluation.comparison import HARM
from searchsvc.evaluation.markup import Markup, element

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 12, 36
_TICKS = 5
"""About so many lines across a plot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One variant in the plot of gain against harm."""

    name: str
    harm: float
    gain: float
    interval: tuple[float, float] | None
    """Of the gain."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to places in the picture."""

    low: float
    high: float
    start: float
    """Where `low` is drawn."""
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self) -> list[float]:
        """Round values between the ends."""
        step = _round_step((self.high - self.low) / _TICKS)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def gain_plot(gains: Mapping[str, float], texts: Mapping[str, str], measure: str) -> Markup:
    """A bar for each query, the largest gain first; under the pointer the query and what it gained."""
    ordered = sorted(gains.items(), key=lambda pair: -pair[1])
    y = _Scale(min(0.0, ordered[-1][1], -2 * HARM), max(0.0, ordered[0][1], 2 * HARM), _HEIGHT - _BOTTOM, _TOP)
    step = (_WIDTH - _LEFT - _RIGHT) / len(ordered)
    bars = [
        element(
            "rect",
            element("title", f"{query_id}: {texts[query_id]} {gain:+.4f}"),
            class_="harm" if gain < -HARM else "loss" if gain < 0 else "win" if gain > 0 else "tie",
            x=round(_LEFT + place * step, 2),
            y=min(y(gain), y(0)),
            width=round(max(step * 0.9, 0.3), 2),
            height=round(max(abs(y(gain) - y(0)), 0.5), 2),
        )
        for place, (query_id, gain) in enumerate(ordered)
    ]
    label = f"{len(ordered)} queries, the largest gain first"
    return _picture([*_grid_lines(y, f"Δ {measure}"), _dashed(y(-HARM)), *bars, _x_label(label)], label)


def harm_plot(points: Sequence[Point], measure: str) -> Markup:
    """A point for each variant: to the right more queries harmed, upwards more gained on average."""
    ends = [end for point in points for end in (point.interval or (point.gain, point.gain))]
    margin = 0.1 * max(max(ends) - min(ends), 0.02)
    y = _Scale(min(0.0, *ends) - margin, max(0.0, *ends) + margin, _HEIGHT - _BOTTOM, _TOP)
    x = _Scale(0.0, max(0.05, *(point.harm for point in points)) * 1.25, _LEFT, _WIDTH - _RIGHT)
    parts = _grid_lines(y, f"Δ {measure}")
    for tick in x.ticks():
        parts.append(_text(x(tick), _HEIGHT - _BOTTOM + 14, f"{tick:.0%}", anchor="middle"))
    for point in points:
        parts += _drawn(point, x(point.harm), y)
    label = f"share of the queries that lose more than {HARM}"
    return _picture([*parts, _x_label(label)], f"gain against harm: {label}")


def _drawn(point: Point, x: float, y: _Scale) -> list[Markup]:
    low, high = point.interval or (point.gain, point.gain)
    told = f"{point.name}: {point.gain:+.4f}, harm {point.harm:.1%}"
    right = x < _WIDTH * 0.75
    return [
        element("line", class_="mark", x1=x, x2=x, y1=y(low), y2=y(high)),
        element("circle", element("title", told), class_="mark", cx=x, cy=y(point.gain), r=5),
        _text(x + (9 if right else -9), y(point.gain) + 4, point.name, anchor="start" if right else "end"),
    ]


def _grid_lines(y: _Scale, label: str) -> list[Markup]:
    parts: list[Markup] = []
    for tick in y.ticks():
        kind = "axis" if abs(tick) < 1e-9 else "grid"
        parts.append(element("line", class_=kind, x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y(tick), y2=y(tick)))
        parts.append(_text(_LEFT - 6, y(tick) + 4, f"{tick:+.2f}" if tick else "0", anchor="end"))
    turned = f"rotate(-90 12 {_HEIGHT / 2})"
    return [*parts, element("text", label, x=12, y=_HEIGHT / 2, text_anchor="middle", transform=turned)]


def _dashed(y: float) -> Markup:
    return element("line", class_="limit", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y)


def _x_label(label: str) -> Markup:
    return _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, label, anchor="middle")


def _text(x: float, y: float, text: str, *, anchor: str) -> Markup:
    return element("text", text, x=round(x, 2), y=round(y, 2), text_anchor=anchor)


def _picture(parts: Sequence[Markup], label: str) -> Markup:
    return element("svg", *parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=label)


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
