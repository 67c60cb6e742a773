"""`searchsvc policy train`: a gain model of your own from judged queries."""

from __future__ import annotations

import asyncio
import datetime
import json as json_text
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from cyclopts import App
from rich.markup import escape
from rich.table import Table

from searchsvc.cli.common import EngineName, Json, out, print_json, progress, settings, talk
from searchsvc.cli.evaluate_folder import loaded
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.collection import Collection, read_collection
from searchsvc.evaluation.qrels import read_qrels
from searchsvc.evaluation.queries import read_queries
from searchsvc.evaluation.training import ALWAYS, ENOUGH, Case, Judgement, cross_fitted, fit, judge
from searchsvc.evaluation.training_cases import SEARCHES, Judged, cases_of
from searchsvc.expansion.runs import read_records
from searchsvc.model import RecordedRun
from searchsvc.settings import Settings
from searchsvc.text import ANALYSIS_VERSION
from searchsvc.wiring import open_runtime

app = App(name="policy", help="Train what decides per query whether, and how heavily, to expand.")

_EXPANSIONS = ("expansions.jsonl", "expansions.jsonl.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Judged queries, and the expansions to learn from."""

    judged: Judged
    collection: Collection | None
    """To be loaded; None: the index is there."""
    runs: Sequence[RecordedRun | None]
    """None in it: the configured expander."""


@app.command
def train(
    *directories: Path,
    index: str | None = None,
    queries: Path | None = None,
    qrels: Path | None = None,
    expansions: Path | None = None,
    rerank: bool = False,
    engine: EngineName | None = None,
    write: Path = Path("gain-model.json"),
    json: Json = False,
) -> None:
    """Learn from judged queries when an expansion helps, write the model, and judge it on queries it did not see.

    It is used where the setting expander.policy names the file. Regret is what another way of deciding has above the
    model: below 0 the model is better.

    Parameters
    ----------
    directories
        Folders of collections: corpus.jsonl, queries.jsonl, qrels.tsv, plain or .gz, and expansions.jsonl if there are
        recorded expansions.
    index
        In place of folders, with --queries and --qrels: the published name of your index.
    queries
        File of the queries, as `searchsvc evaluate` reads them.
    qrels
        File of the judgements, as `searchsvc evaluate` reads them.
    expansions
        Recorded expansions, as `searchsvc expand --record` writes them; every run in it is learned from. Without it
        those of the folder, and if there are none the configured chat model is asked.
    rerank
        Learn from the order behind the reranker, and from its scores if it scores each document by itself.
    engine
        embedded, or elasticsearch.
    write
        File for the model.

    """
    sources = _sources(directories, index, queries, qrels, expansions)
    effective = settings(engine=engine)
    cases = asyncio.run(_cases(sources, effective, rerank=rerank))
    if not cases:
        raise ConfigurationError(
            "No query has an expansion to learn from.",
            hint="Name recorded expansions with --expansions, or configure a chat model.",
        )
    judgements = _judged(cases)
    options = {"--index": index, "--queries": queries, "--qrels": qrels, "--expansions": expansions}
    named = [(name, Path(value).name) for name, value in options.items() if value is not None]
    words = [*(folder.name for folder in directories), *chain(*named), *(["--rerank"] if rerank else [])]
    model = fit(cases) | {"trained": _account(judgements["all"], words)}
    _write(write, model)
    _tell(judgements, write, json=json)


def _sources(
    directories: Sequence[Path], index: str | None, queries: Path | None, qrels: Path | None, expansions: Path | None
) -> list[_Source]:
    """Everything that was named, read. Raises ConfigurationError."""
    if directories and (index, queries, qrels) == (None, None, None):
        return [_of_folder(folder, expansions) for folder in directories]
    if directories or index is None or queries is None or qrels is None:
        raise ConfigurationError(
            "Name folders of collections, or all three of --index, --queries and --qrels.",
            hint="searchsvc policy train FOLDER, or searchsvc policy train --index NAME --queries FILE --qrels FILE",
        )
    texts = read_queries(queries)
    grades = read_qrels(qrels, texts).grades
    asked = {query_id: text for query_id, text in texts.items() if query_id in grades}
    judged = Judged(group=index, index=index, queries=asked, qrels=grades)
    return [_Source(judged=judged, collection=None, runs=_runs(expansions))]


def _of_folder(folder: Path, expansions: Path | None) -> _Source:
    collection = read_collection(folder)
    found = next((folder / name for name in _EXPANSIONS if (folder / name).is_file()), None)
    judged = Judged(group=folder.name, index="", queries=collection.queries, qrels=collection.qrels)
    return _Source(judged=judged, collection=collection, runs=_runs(expansions or found))


def _runs(file: Path | None) -> list[RecordedRun | None]:
    if file is None:
        return [None]
    names = sorted({record.run for record in read_records(file)})
    return [RecordedRun(file=str(file), run=name) for name in names]


async def _cases(sources: Sequence[_Source], effective: Settings, *, rerank: bool) -> list[Case]:
    cases: list[Case] = []
    async with open_runtime(_with_shipped_model(effective), recorded=True) as runtime:
        for source in sources:
            judged = source.judged
            if source.collection is not None:
                judged = replace(judged, index=await loaded(runtime, source.collection))
            with progress() as bar:
                total = len(judged.queries) * len(source.runs) * SEARCHES
                task = bar.add_task(f"searching {judged.group}", total=total)
                for run in source.runs:
                    done = partial(bar.advance, task)
                    cases += await cases_of(judged, runtime.service.search, run=run, rerank=rerank, done=done)
    return cases


def _with_shipped_model(effective: Settings) -> Settings:
    """A model that fits no more is no reason not to make another."""
    expander = effective.expander.model_copy(update={"policy": None})
    return effective.model_copy(update={"expander": expander})


def _judged(cases: Sequence[Case]) -> dict[str, Judgement]:
    """By collection, and of all: under the name `all`."""
    chosen = cross_fitted(cases)
    groups = dict.fromkeys(case.group for case in cases)
    return {group: judge(cases, chosen, group) for group in groups} | {"all": judge(cases, chosen)}


def _account(judgement: Judgement, words: Sequence[str]) -> dict[str, Any]:
    """How the model was made; of files the names alone, for the model may go elsewhere."""
    return {
        "command": shlex.join(["searchsvc", "policy", "train", *words]),
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "analysis": ANALYSIS_VERSION,
        "queries": judgement.queries,
        "cases": judgement.cases,
        "cross_fitted": {"auto": asdict(judgement.auto), "always": asdict(judgement.always), "room": judgement.room},
    }


def _write(path: Path, model: Mapping[str, Any]) -> None:
    try:
        path.write_text(json_text.dumps(model, indent=1, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error


def _tell(judgements: Mapping[str, Judgement], path: Path, *, json: bool) -> None:
    few = judgements["all"].queries < ENOUGH
    if json:
        found = {name: _as_json(each) for name, each in judgements.items()}
        print_json({"written": str(path), "enough_queries": not few, "judged": found})
        return
    if few:
        count = judgements["all"].queries
        out().print(f"[yellow]{count} judged queries are few: under {ENOUGH} a model learns mostly chance[/]")
    out().print(_table(judgements))
    out().print("judged on queries that the model was not fitted to; regret below 0: the model is better")
    talk().print(f"written: {escape(str(path))}", soft_wrap=True)


def _table(judgements: Mapping[str, Judgement]) -> Table:
    table = Table()
    columns = ("collection", "queries", "auto", "harm", f"always {ALWAYS}", "harm", "regret: always", "regret: never")
    for column in columns:
        table.add_column(column, justify="left" if column == "collection" else "right")
    for name, each in judgements.items():
        table.add_row(
            escape(name),
            str(each.queries),
            f"{each.auto.gain:+.4f}",
            f"{each.auto.harm:.3f}",
            f"{each.always.gain:+.4f}",
            f"{each.always.harm:.3f}",
            *(_words(regret) for regret in _regrets(each).values()),
        )
    return table


def _regrets(judgement: Judgement) -> dict[str, dict[str, Any]]:
    """What the two other ways have above the model: mean over the queries, with its 95 % interval."""
    ways = {"always": judgement.over_always, "never": judgement.over_never}
    return {
        name: {
            "mean": -each.mean,
            "ci95": None if each.interval is None else [-each.interval[1], -each.interval[0]],
        }
        for name, each in ways.items()
    }


def _words(regret: Mapping[str, Any]) -> str:
    interval = "" if regret["ci95"] is None else f" [{regret['ci95'][0]:+.4f}, {regret['ci95'][1]:+.4f}]"
    return f"{regret['mean']:+.4f}{interval}"


def _as_json(judgement: Judgement) -> dict[str, Any]:
    return {
        "queries": judgement.queries,
        "cases": judgement.cases,
        "auto": asdict(judgement.auto),
        "always": asdict(judgement.always) | {"weight": ALWAYS},
        "room": judgement.room,
        "room_taken": judgement.taken,
        "regret": _regrets(judgement),
    }
