"""What tuning came to, for people."""

from __future__ import annotations

from collections import Counter

from rich.markup import escape
from rich.table import Table

from searchsvc.evaluation.comparison import HARM
from searchsvc.evaluation.tables import difference_cells, plain_table
from searchsvc.evaluation.tuning import Tried, Tuning

_BAR, _SHORT_BAR = 24, 8
"""Characters of the longest bar; on a narrow terminal."""


def curve_table(found: Tuning, *, narrow: bool = False) -> Table:
    """The settings that no other beats in gain and harm, the least harmful first, with a bar for each figure."""
    table, longest = plain_table(narrow=narrow), _SHORT_BAR if narrow else _BAR
    table.add_column("setting", overflow="fold")
    table.add_column("Δ", justify="right", no_wrap=True)
    table.add_column("gain", no_wrap=True)
    table.add_column(f"lose > {HARM}", justify="right", no_wrap=True)
    table.add_column("harm", no_wrap=True)
    table.add_column("", no_wrap=True)
    front = sorted((each for each in found.tried if each.on_front), key=lambda each: (each.harm, each.gain))
    shown = front if found.chosen in front else [*front, found.chosen]
    most_gain, most_harm = (max(values) for values in ([each.gain for each in shown], [each.harm for each in shown]))
    for each in shown:
        table.add_row(
            escape(each.setting.words()),
            f"{each.gain:+.4f}",
            _bar(each.gain, most_gain, longest),
            f"{each.harm:.1%}",
            _bar(each.harm, most_harm, longest),
            "← chosen" if each == found.chosen else "",
        )
    return table


def estimate_line(found: Tuning, measure: str) -> str:
    """What the choice is worth on queries that it was not made by, beside what it seems worth on its own."""
    mean, interval, p_value, counts, harm = difference_cells(found.estimate)
    return (
        f"a choice like this, on queries that it was not made by: Δ {measure} {mean} ({interval}), p {p_value},"
        f" won/tied/lost {counts}, lose > {HARM} {harm}; on those that it was made by {_own(found.chosen)}"
    )


def fold_line(found: Tuning) -> str:
    """How often which setting was chosen when a part of the queries was left out."""
    counts = Counter(setting.words() for setting in found.by_fold).most_common()
    return f"chosen without a part of the queries: {'; '.join(f'{words} ({count}x)' for words, count in counts)}"


def _own(chosen: Tried) -> str:
    return f"{chosen.gain:+.4f}, {chosen.harm:.1%}"


def _bar(value: float, most: float, longest: int) -> str:
    return "█" * round(longest * value / most) if value > 0 and most > 0 else ""
