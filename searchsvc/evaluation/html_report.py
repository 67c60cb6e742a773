"""The figures of an evaluation as one HTML page that needs nothing else: no script, nothing from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.comparison import HARM, Difference
from searchsvc.evaluation.extremes import Extreme
from searchsvc.evaluation.grid import Grid
from searchsvc.evaluation.markup import Markup, element, joined
from searchsvc.evaluation.plots import Point, gain_plot, harm_plot
from searchsvc.evaluation.report import VariantReport
from searchsvc.evaluation.tables import difference_cells, expansion_words

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What the page may load: nothing."""
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --paper: #ffffff; --line: #d5dae0; --faint: #5b6672;
  --win: #1a7f4b; --loss: #d98e32; --harm: #c0392b; --mark: #2f5fd0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --paper: #15191d; --line: #38414a; --faint: #9aa6b2;
  --win: #4cc38a; --loss: #e0a458; --harm: #ef6a5b; --mark: #7ea6ff; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; } h3 { font-size: 1rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .7rem .25rem 0; text-align: right; vertical-align: top; }
th { font-weight: 600; } th.text, td.text { text-align: left; overflow-wrap: anywhere; min-width: 4rem; }
.note { color: var(--faint); } svg { display: block; max-width: 46rem; width: 100%; height: auto; }
svg text { fill: var(--faint); font-size: 11px; } svg line { stroke: var(--line); }
svg .axis { stroke: var(--faint); } svg .limit { stroke: var(--harm); stroke-dasharray: 4 4; }
svg .win { fill: var(--win); } svg .tie { fill: var(--line); }
svg .loss { fill: var(--loss); } svg .harm { fill: var(--harm); }
svg .mark { fill: var(--mark); stroke: var(--mark); stroke-width: 1.5; }
"""
_COMPARED = ("Δ", "95 % interval", "p", "won/tied/lost", f"lose > {HARM}")
_COST = ("mean ms", "p50 ms", "p95 ms", "LLM calls", "cached", "tokens in", "tokens out", "expanded", "degraded")


def html_page(
    title: str,
    *,
    facts: Mapping[str, str],
    notes: Sequence[str],
    reports: Sequence[VariantReport],
    grid: Grid | None,
    texts: Mapping[str, str],
) -> str:
    """The page. `facts` tell what ran on what, `notes` what does not count as it stands; `texts` are the queries'."""
    parts = [
        element("h1", title),
        _table(("", ""), [[name, value] for name, value in facts.items()], text=2, head=False),
        *(element("p", note, class_="note") for note in notes),
        element("h2", "Variants"),
        _measures(reports),
        _cost(reports),
        *([] if grid is None else [element("h2", "What expansion adds"), _grid(grid)]),
    ]
    compared = [each for each in reports if not each.is_baseline]
    if compared:
        parts += [element("h2", f"Gain against harm, {compared[0].reference}"), _harm(compared)]
    for each in compared:
        parts += _variant(each, reports[0].name, texts)
    return _document(title, parts)


def write_page(path: Path, page: str) -> None:
    """Raises ConfigurationError if the file cannot be written."""
    try:
        path.write_text(page, "utf-8", errors="replace")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error


def _document(title: str, parts: Sequence[Markup]) -> str:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(_STYLE)),
    )
    return f"<!doctype html>\n{element('html', head, element('body', *parts), lang='en')}\n"


def _measures(reports: Sequence[VariantReport]) -> Markup:
    rows = [
        [
            measure if report is reports[0] else "",
            report.name,
            f"{report.means[measure]:.4f}",
            *_difference(report, measure),
        ]
        for measure in reports[0].means
        for report in reports
    ]
    return _table(("measure", "variant", "mean", *_COMPARED), rows, text=2)


def _difference(report: VariantReport, measure: str) -> tuple[str, ...]:
    return difference_cells(report.differences.get(measure))


def _cost(reports: Sequence[VariantReport]) -> Markup:
    rows = []
    for report in reports:
        spent, times = report.all_tokens, [f"{milliseconds:.1f}" for milliseconds in report.times().values()]
        counts = (
            spent.calls,
            spent.cached,
            spent.input,
            spent.output,
            f"{report.expanded_share:.1%}",
            report.missed_queries,
        )
        rows.append([report.name, report.spec, *times, *map(str, counts)])
    return _table(("variant", "as written", *_COST), rows, text=2)


def _grid(grid: Grid) -> Markup:
    rows = []
    for measure, alone in grid.alone.items():
        rows.append([measure, "without reranker", *difference_cells(alone)])
        rows.append(["", "behind the reranker", *difference_cells(grid.behind[measure])])
    return _table(("measure", "expansion adds", *_COMPARED), rows, text=2)


def _harm(reports: Sequence[VariantReport]) -> Markup:
    points = [_point(each.name, each.differences[each.reference]) for each in reports]
    return harm_plot(points, reports[0].reference)


def _point(name: str, found: Difference) -> Point:
    return Point(name=name, harm=found.harm, gain=found.mean, interval=found.interval)


def _variant(report: VariantReport, baseline: str, texts: Mapping[str, str]) -> list[Markup]:
    parts = [
        element("h2", f"{report.name} against {baseline}"),
        gain_plot(report.gains, texts, report.reference),
    ]
    for what, found in (("worst", report.worst), ("best", report.best)):
        if found:
            parts += [element("h3", f"The {what} queries by {report.reference}"), _extremes(found)]
    return parts


def _extremes(found: Sequence[Extreme]) -> Markup:
    rows = [
        [
            each.query_id,
            each.query,
            expansion_words(each),
            f"{each.gain:+.4f}",
            f"{each.before:.4f}",
            f"{each.after:.4f}",
        ]
        for each in found
    ]
    return _table(("id", "query", "expansion", "Δ", "from", "to"), rows, text=3)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, text: int, head: bool = True) -> Markup:
    """The first `text` columns are words, the others figures."""

    def cells(name: str, row: Sequence[str]) -> list[str]:
        return [
            element(name, cell, class_="text") if place < text else element(name, cell)
            for place, cell in enumerate(row)
        ]

    body = [element("tr", *cells("td", row)) for row in rows]
    top = [element("thead", element("tr", *cells("th", columns)))] if head else []
    return element("div", element("table", *top, element("tbody", joined(body))), class_="wide")
