"""`searchsvc tune`: the best weight, number of terms, depth and prompt of an expansion, by judged queries."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.markup import escape

from searchsvc.cli.common import EngineName, Json, out, print_json, settings
from searchsvc.cli.evaluate_figures import cost_lines, tell_written
from searchsvc.cli.evaluate_folder import plan_folder, run_folder
from searchsvc.cli.evaluate_index import run_index
from searchsvc.cli.evaluate_plan import GRID_VARIANT, Comparison, Outputs, pace_of, plan_index
from searchsvc.cli.variant_runs import Bench, end, run
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.measures import parse_measures, values
from searchsvc.evaluation.qrels import Qrels
from searchsvc.evaluation.recording import ASKING
from searchsvc.evaluation.report import RunReport, cost_of
from searchsvc.evaluation.runner import Outcomes
from searchsvc.evaluation.serving import Serving, as_served
from searchsvc.evaluation.tables import NARROW
from searchsvc.evaluation.tuning import DEPTHS, ENOUGH, TERMS, WEIGHTS, Setting, Tuning, applied, settings_of
from searchsvc.evaluation.tuning import tune as tuned
from searchsvc.evaluation.tuning_tables import curve_table, estimate_line, fold_line
from searchsvc.evaluation.variants import Variant, parse_variants
from searchsvc.expansion.guard.pacing import Pace
from searchsvc.model import Mode
from searchsvc.settings import Settings

_TUNED = "tuned"
_NOTHING = Outputs(json=False, runs=None, html=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """What is searched, by which measure."""

    variant: Variant
    settings: Sequence[Setting]
    comparison: Comparison

    @property
    def measure(self) -> str:
        return self.comparison.measures[0]


def tune(
    directory: Path | None = None,
    /,
    *,
    index: str | None = None,
    queries: Path | None = None,
    qrels: Path | None = None,
    engine: EngineName | None = None,
    variant: str = GRID_VARIANT,
    weights: str | None = None,
    terms: str | None = None,
    depths: str | None = None,
    prompts: str | None = None,
    measure: str = "nDCG@10",
    write: Path | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    max_tokens: int | None = None,
    json: Json = False,
) -> None:
    """Search λ, n, depth and prompt of an expansion on judged queries.

    Tells what each combination gains over no expansion and whom it harms, chooses the least harmful of those that are
    not clearly worse than the best, and tells by nested cross-validation what such a choice gains on queries that it
    was not made by. The chosen variant is printed as an option of evaluate.

    Parameters
    ----------
    directory
        Folder of a collection, as for evaluate.
    index
        In place of a directory: the published name of the index to search.
    queries
        With --index: file of the queries, as for evaluate.
    qrels
        With --index: file of the judgements, as for evaluate.
    engine
        embedded, or elasticsearch.
    variant
        NAME:key=value,key=value: what is tuned. What is not searched stays as it says.
    weights
        Values of expansion.weight (λ), comma-separated; without it 0.2 to 0.8 by tenths.
    terms
        Values of expansion.terms (n); without it 16,32.
    depths
        Values of rerank.depth; without it 20,50,100. Not searched where the variant does not rerank.
    prompts
        Ids of prompts; without it that of the variant alone. Each asks the chat model once for every query.
    measure
        The measure that decides.
    write
        File for the chosen variant, one line.
    rpm
        Calls a minute of the chat model, at most.
    tpm
        Tokens a minute of the chat model, at most.
    max_tokens
        Tokens of the chat model in all; where they are used up, what is done is told.

    """
    pace = pace_of(rpm, tpm, max_tokens)
    (parsed,) = parse_variants([variant])
    search = _search(parsed, _grid(weights, terms, depths, prompts), measure, pace)
    if directory is not None and index is None and queries is None and qrels is None:
        told, bench, grades = _of_folder(search, directory, settings(engine=engine))
    elif directory is None and index is not None and queries is not None and qrels is not None:
        told, bench, grades = _of_index(search, index, queries, qrels, settings(engine=engine))
    else:
        raise ConfigurationError(
            "Tuning needs judged queries.",
            hint="Name the folder of a collection, or --index NAME --queries FILE --qrels FILE.",
        )
    _tell(search, bench, _tuning(search, bench, grades), told, write=write, json=json)
    end(bench)


def _grid(weights: str | None, terms: str | None, depths: str | None, prompts: str | None) -> Mapping[str, Any]:
    """The values of each thing that is searched. Raises ConfigurationError."""
    return {
        "weights": WEIGHTS if weights is None else _numbers(weights, "--weights", float),
        "terms": TERMS if terms is None else _numbers(terms, "--terms", int),
        "depths": DEPTHS if depths is None else _numbers(depths, "--depths", int),
        "prompts": () if prompts is None else tuple(each.strip() for each in prompts.split(",") if each.strip()),
    }


def _numbers(written: str, option: str, kind: type[int] | type[float]) -> tuple[Any, ...]:
    try:
        found = tuple(dict.fromkeys(kind(each) for each in written.split(",") if each.strip()))
    except ValueError:
        found = ()
    if not found:
        raise ConfigurationError(f"{option} is {written!r}: numbers, comma-separated, were expected.")
    return found


def _search(variant: Variant, grid: Mapping[str, Any], measure: str, pace: Pace) -> _Search:
    if variant.expansion.mode is Mode.OFF:
        raise ConfigurationError(
            f"The variant {variant.name} has no expansion to be tuned.", hint="For instance full:expansion=on."
        )
    _check(variant, grid)
    tried = settings_of(variant, **grid)
    measures = parse_measures(measure)
    if len(measures) > 1:
        raise ConfigurationError(f"--measure names {len(measures)} measures: one decides.")
    variants = as_served(applied(tried, variant), Serving.COMPLETE)
    comparison = Comparison(variants=variants, measures=measures, serving=Serving.COMPLETE, pace=pace)
    return _Search(variant=variant, settings=tried, comparison=comparison)


def _check(variant: Variant, grid: Mapping[str, Any]) -> None:
    """Raises ConfigurationError, in words of the options, for values that no search takes."""
    outside = [weight for weight in grid["weights"] if not 0 <= weight <= 1]
    if outside:
        raise ConfigurationError(f"--weights holds {outside[0]:g}: numbers from 0 to 1 were expected.")
    names = [share.name for share in variant.expansion.methods]
    if grid["prompts"] and names and ASKING not in names:
        raise ConfigurationError(f"--prompts goes with the method {ASKING}, not with {'+'.join(names)}.")


def _of_folder(search: _Search, directory: Path, effective: Settings) -> tuple[str, Bench, Qrels]:
    plan = plan_folder(directory, search.comparison, candidates=None, shuffle=None)
    bench = Bench(outcomes=Outcomes(search.comparison.variants), queries=plan.collection.queries)
    run(run_folder(plan, effective, bench), bench)
    return str(directory), bench, plan.collection.qrels


def _of_index(search: _Search, index: str, queries: Path, qrels: Path, effective: Settings) -> tuple[str, Bench, Qrels]:
    plan = plan_index(index, queries, qrels, search.comparison, _NOTHING)
    bench = Bench(outcomes=Outcomes(search.comparison.variants), queries=plan.queries, index=index)
    run(run_index(plan, effective, bench, []), bench)
    return f"{index}: {queries}", bench, {} if plan.qrels is None else plan.qrels.grades


def _tuning(search: _Search, bench: Bench, qrels: Qrels) -> Tuning:
    """Raises ConfigurationError for fewer than two queries."""
    grades = {query_id: qrels[query_id] for query_id in bench.answered}
    if len(grades) < 2:
        raise ConfigurationError(f"{len(grades)} judged query: nothing can be chosen by it.")
    measured = [values([search.measure], grades, each.rankings)[search.measure] for each in bench.outcomes.runs()]
    return tuned(search.settings, measured)


def _tell(search: _Search, bench: Bench, found: Tuning, where: str, *, write: Path | None, json: bool) -> None:
    chosen = found.chosen.setting.applied(search.variant, _TUNED)
    line = f"{chosen.name}:{chosen.spec}"
    if write is not None:
        _write(write, line)
    if json:
        print_json(_as_json(search, bench, found, line) | {"written": None if write is None else str(write)})
        return
    console = out()
    console.print(escape(f"{where}: {len(bench.outcomes)} judged queries; {bench.words()}"))
    _print(console, search, bench, found)
    console.print(shlex.join(["--variant", line]), markup=False, soft_wrap=True)
    tell_written([] if write is None else [write])


def _print(console: Console, search: _Search, bench: Bench, found: Tuning) -> None:
    if len(bench.outcomes) < ENOUGH:
        console.print(
            f"[yellow]{len(bench.outcomes)} judged queries are few: under {ENOUGH} a choice among"
            f" {len(search.settings)} settings is mostly chance[/]"
        )
    console.print()
    console.print(
        f"{search.measure} against harm: the settings that no other beats in both, of {len(search.settings)};"
        f" without expansion {found.tried[0].mean:.4f}"
    )
    console.print(curve_table(found, narrow=console.width < NARROW))
    console.print()
    for line in (estimate_line(found, search.measure), fold_line(found)):
        console.print(escape(line))
    expanding = _costs(bench)[1:]
    share = fmean(each.expanded_share for each in expanding)
    console.print(f"expanded: {share:.1%} of the searches of the {len(expanding)} settings with an expansion")
    for line in cost_lines([max(expanding, key=lambda each: each.missed_queries)]):
        console.print(line)


def _costs(bench: Bench) -> list[RunReport]:
    """Of each setting, in their order; the first has no expansion."""
    return [RunReport(**cost_of(each)) for each in bench.outcomes.runs()]


def _as_json(search: _Search, bench: Bench, found: Tuning, line: str) -> dict[str, Any]:
    chosen = Counter(setting.words() for setting in found.by_fold)
    return {
        "index": bench.index,
        **bench.as_json(),
        "measure": search.measure,
        "enough_queries": len(bench.outcomes) >= ENOUGH,
        "settings": [
            tried.as_json() | {"expanded_share": cost.expanded_share, "missed_queries": cost.missed_queries}
            for tried, cost in zip(found.tried, _costs(bench), strict=True)
        ],
        "chosen": found.chosen.as_json(),
        "estimate": found.estimate.as_json(search.measure),
        "chosen_by_fold": dict(chosen),
        "variant": line,
    }


def _write(path: Path, line: str) -> None:
    try:
        path.write_text(f"{line}\n", "utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
