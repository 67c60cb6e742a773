"""What `searchsvc evaluate --index` is asked for, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchsvc.cli.common import MadeBy
from searchsvc.cli.variant_runs import make_folder
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.absent import Absent
from searchsvc.evaluation.measures import depth_of, parse_measures
from searchsvc.evaluation.qrels import QrelsFile, read_qrels
from searchsvc.evaluation.queries import read_queries
from searchsvc.evaluation.runner import VariantRun
from searchsvc.evaluation.trec import check_ids
from searchsvc.evaluation.unjudged import DEPTH
from searchsvc.evaluation.variants import Variant, parse_variants


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlan:
    """What was asked for, read and checked before anything runs."""

    index: str
    file: Path
    """Of the queries."""
    queries: Mapping[str, str]
    """All that are run: of judged ones only, where there are judgements."""
    unjudged: int
    """Queries of the file that no judgement names: left out."""
    qrels: QrelsFile | None
    variants: Sequence[Variant]
    measures: Sequence[str]
    runs: Path | None

    @property
    def depth(self) -> int:
        """How many documents are ranked for every query."""
        return DEPTH if self.qrels is None else depth_of(self.measures)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOutcome:
    """What ran, and on what."""

    info: Mapping[str, Any]
    made_by: MadeBy
    runs: Sequence[VariantRun]
    absent: Absent | None


def plan_live(
    index: str, file: Path, qrels: Path | None, *, variants: Sequence[str], measures: str, runs: Path | None
) -> LivePlan:
    """Read everything. Raises ConfigurationError with file and line."""
    queries = read_queries(file)
    judgements = None if qrels is None else read_qrels(qrels, queries)
    if judgements is not None and not judgements.grades:
        raise _no_judgement(judgements, file, queries)
    asked = queries if judgements is None else {key: queries[key] for key in judgements.grades}
    if runs is not None:
        check_ids(asked, what="query")
        make_folder(runs)
    return LivePlan(
        index=index,
        file=file,
        queries=asked,
        unjudged=len(queries) - len(asked),
        qrels=judgements,
        variants=parse_variants(variants),
        measures=parse_measures(measures),
        runs=runs,
    )


def _no_judgement(judgements: QrelsFile, file: Path, queries: Mapping[str, str]) -> ConfigurationError:
    unknown = judgements.unknown
    named = "" if unknown is None else f" Line {unknown.first_line} names {unknown.first!r};"
    return ConfigurationError(
        f"{judgements.path} judges none of the {len(queries)} queries of {file}.",
        hint=f"{named} the first query there is {next(iter(queries))!r}.".strip().capitalize(),
    )
