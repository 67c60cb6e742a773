"""What `searchsvc evaluate` is asked for: how variants are compared, where the figures go, on which index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from searchsvc.cli.variant_runs import make_folder
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.grid import grid_variants, window_measure
from searchsvc.evaluation.measures import DEFAULT_MEASURES, depth_of, parse_measures
from searchsvc.evaluation.qrels import QrelsFile, read_qrels
from searchsvc.evaluation.queries import read_queries
from searchsvc.evaluation.serving import Serving, as_served
from searchsvc.evaluation.trec import check_ids
from searchsvc.evaluation.unjudged import DEPTH
from searchsvc.evaluation.variants import Variant, parse_variants
from searchsvc.expansion.guard.pacing import Pace
from searchsvc.suggest import did_you_mean

GRID_VARIANT = "full:expansion=on,rerank=on"
"""What a grid is made from where no variant is named."""
_Named = TypeVar("_Named")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is compared with what, by which measures."""

    variants: tuple[Variant, ...]
    """As they are served; the first is the baseline."""
    measures: tuple[str, ...]
    """The first is the reference."""
    serving: Serving
    pace: Pace
    """Of the calls of a chat model."""
    grid: bool = False
    """The variants are those of a grid."""

    @property
    def depth(self) -> int:
        """How many documents are ranked for every query."""
        return depth_of(self.measures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Where the figures go."""

    json: bool
    runs: Path | None
    """Folder for the TREC runs."""
    html: Path | None
    """File for the report with plots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPlan:
    """What was asked for of an index that is there, read and checked before anything runs."""

    index: str
    file: Path
    """Of the queries."""
    queries: Mapping[str, str]
    """All that are run, in the order of the file: of judged ones only, where there are judgements."""
    unjudged: int
    """Queries of the file that no judgement names: left out."""
    qrels: QrelsFile | None
    comparison: Comparison

    @property
    def depth(self) -> int:
        """How many documents are ranked for every query."""
        return DEPTH if self.qrels is None else self.comparison.depth


def compare(
    variants: Sequence[str],
    *,
    measures: str | None,
    baseline: str | None,
    reference: str | None,
    serving: Serving,
    pace: Pace,
    grid: bool,
) -> Comparison:
    """Raises ConfigurationError for a variant or measure that there is not."""
    parsed = parse_variants([GRID_VARIANT] if grid and not variants else variants)
    names = parse_measures(DEFAULT_MEASURES if measures is None else measures)
    if grid:
        parsed = grid_variants(parsed)
        names = tuple(dict.fromkeys([*names, window_measure(parsed)]))
    ordered = _first(parsed, [each.name for each in parsed], baseline, "--baseline")
    return Comparison(
        variants=as_served(ordered, serving),
        measures=_first(names, names, reference, "--reference"),
        serving=serving,
        pace=pace,
        grid=grid,
    )


def pace_of(rpm: float | None, tpm: float | None, max_tokens: int | None) -> Pace:
    """Raises ConfigurationError for a limit that would let nothing through."""
    for option, limit in (("--rpm", rpm), ("--tpm", tpm), ("--max-tokens", max_tokens)):
        if limit is not None and not limit > 0:
            raise ConfigurationError(f"{option} is {limit:g}: more than 0 was expected.")
    return Pace(rpm, tpm, max_tokens)


def plan_index(index: str, file: Path, qrels: Path | None, comparison: Comparison, outputs: Outputs) -> IndexPlan:
    """Read everything. Raises ConfigurationError with file and line."""
    queries = read_queries(file)
    judgements = None if qrels is None else read_qrels(qrels, queries)
    if judgements is not None and not judgements.grades:
        raise _no_judgement(judgements, file, queries)
    asked = {key: text for key, text in queries.items() if judgements is None or key in judgements.grades}
    if outputs.runs is not None:
        check_ids(asked, what="query")
        make_folder(outputs.runs)
    return IndexPlan(
        index=index,
        file=file,
        queries=asked,
        unjudged=len(queries) - len(asked),
        qrels=judgements,
        comparison=comparison,
    )


def _first(things: Sequence[_Named], names: Sequence[str], name: str | None, option: str) -> tuple[_Named, ...]:
    """The things, the one of that name before the others. Raises ConfigurationError if there is none."""
    if name is None:
        return tuple(things)
    if name not in names:
        raise ConfigurationError(f"{option} {name} is none of {', '.join(names)}.", hint=did_you_mean(name, names))
    place = names.index(name)
    return (things[place], *things[:place], *things[place + 1 :])


def _no_judgement(judgements: QrelsFile, file: Path, queries: Mapping[str, str]) -> ConfigurationError:
    unknown = judgements.unknown
    named = "" if unknown is None else f" Line {unknown.first_line} names {unknown.first!r};"
    return ConfigurationError(
        f"{judgements.path} judges none of the {len(queries)} queries of {file}.",
        hint=f"{named} the first query there is {next(iter(queries))!r}.".strip().capitalize(),
    )
