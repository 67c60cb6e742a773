"""Measures of ranked lists by query: ir-measures, with linear gain."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import ir_measures

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.qrels import Qrels
from searchsvc.suggest import did_you_mean

Rankings = Mapping[str, Sequence[str]]
"""Ids of documents, best first, by query id."""

DEFAULT_MEASURES = "nDCG@10,RR@10,R@100"
LEAST_DEPTH = 100
"""How many documents are ranked for every query, however small the cut-offs are."""
_CUT_ALWAYS = ("nDCG", "P", "R", "Success", "Judged")
_CUT_OPTIONAL = ("RR", "AP")
_BINARY = ("P", "R", "Success", "RR", "AP")
_FORM = re.compile(r"(?P<name>[A-Za-z]+)(?:\(rel=(?P<rel>[1-9]\d*)\))?(?:@(?P<cutoff>[1-9]\d{0,5}))?")


def parse_measures(written: str) -> tuple[str, ...]:
    """The names of the measures in `written`, comma-separated: nDCG@10, R(rel=2)@100, RR@10, AP, …

    Raises ConfigurationError with the nearest right name. Only what is known to work gets through: a cut-off of 0
    ends the whole process inside trec_eval.
    """
    names = [name.strip() for name in written.split(",") if name.strip()]
    if not names:
        raise ConfigurationError("No measure is named.", hint=f"For instance {DEFAULT_MEASURES}.")
    for name in names:
        _check(name)
    return tuple(dict.fromkeys(str(ir_measures.parse_measure(name)) for name in names))


def _check(written: str) -> None:
    match = _FORM.fullmatch(written)
    name = match["name"] if match is not None else re.split(r"[(@]", written)[0]
    if name not in _CUT_ALWAYS + _CUT_OPTIONAL:
        raise ConfigurationError(
            f"There is no measure {written!r}.", hint=did_you_mean(name, _CUT_ALWAYS + _CUT_OPTIONAL)
        )
    complete = match is not None and (name in _CUT_OPTIONAL or match["cutoff"] is not None)
    if match is None or not complete or (match["rel"] is not None and name not in _BINARY):
        grade = "(rel=2)" if name in _BINARY else ""
        raise ConfigurationError(f"The measure {written!r} is not complete.", hint=f"For instance {name}{grade}@10.")


def depth_of(measures: Sequence[str]) -> int:
    """The largest cut-off of the measures, at least LEAST_DEPTH."""
    return max([LEAST_DEPTH, *(int(name.partition("@")[2] or 0) for name in measures)])


def values(measures: Sequence[str], qrels: Qrels, rankings: Rankings) -> dict[str, dict[str, float]]:
    """The value of every measure for every query of `qrels`; a query without a ranking has 0.

    The order of the ranking decides, not its scores: stages score in different kinds.
    """
    parsed = {name: ir_measures.parse_measure(name) for name in measures}
    names = {measure: name for name, measure in parsed.items()}
    run = {
        query_id: {doc_id: float(len(doc_ids) - before) for before, doc_id in enumerate(doc_ids)}
        for query_id, doc_ids in rankings.items()
        if doc_ids
    }
    found = {name: dict.fromkeys(qrels, 0.0) for name in measures}
    for metric in ir_measures.iter_calc(
        list(parsed.values()), {query: dict(grades) for query, grades in qrels.items()}, run
    ):
        found[names[metric.measure]][metric.query_id] = float(metric.value)
    return found
