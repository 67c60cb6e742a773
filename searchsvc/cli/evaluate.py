"""`searchsvc evaluate`: judged queries through the real pipeline, variant against variant."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from searchsvc.cli.common import EngineName, Json, settings
from searchsvc.cli.evaluate_folder import evaluate_folder, plan_folder
from searchsvc.cli.evaluate_index import evaluate_index
from searchsvc.cli.evaluate_plan import Outputs, compare, pace_of, plan_index
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.recording import Recording
from searchsvc.evaluation.serving import Serving


def evaluate(
    directory: Path | None = None,
    /,
    *,
    index: str | None = None,
    queries: Path | None = None,
    qrels: Path | None = None,
    engine: EngineName | None = None,
    variant: Annotated[list[str] | None, Parameter(negative=())] = None,
    grid: Annotated[bool, Parameter(negative=())] = False,
    baseline: str | None = None,
    measures: str | None = None,
    reference: str | None = None,
    serving: Serving = Serving.COMPLETE,
    candidates: str | None = None,
    shuffle: int | None = None,
    runs: Path | None = None,
    html: Path | None = None,
    record: Path | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    max_tokens: int | None = None,
    json: Json = False,
) -> None:
    """Run queries for each variant and print measures and times.

    With a directory: the judged queries of a collection, whose corpus is loaded as an index of its own, unless it is
    there already. With --index and --queries: your queries against your index, which is not written to. Without --qrels
    it tells by how much each variant changes the results of the first, and which queries are worth judging first.
    Ctrl-C ends the run; the figures are then those of the queries that all variants have answered.

    Parameters
    ----------
    directory
        Folder of the collection: corpus.jsonl, queries.jsonl and qrels.tsv, plain or .gz.
    index
        In place of a directory: the published name of the index to search.
    queries
        With --index: file of the queries. TSV (id, tab, text), CSV with a header (text or query, id or query_id),
        JSONL with the same keys, .txt (a query a line), TREC topics; plain or gzip.
    qrels
        With --index: file of the judgements. TSV (query id, doc id, grade), CSV with a header (Quepid's query, docid,
        rating too), JSONL, TREC qrels; plain or gzip.
    engine
        embedded, or elasticsearch.
    variant
        NAME:key=value,key=value; may be given more than once. The others are compared with the first. Keys are those
        of the search request: expansion=off|on|auto|shadow|METHOD, expansion.method, expansion.form, expansion.weight,
        expansion.terms, expansion.prompt, expansion.wait=answer|complete, rerank=off|on, rerank.depth, rerank.query,
        rerank.instruction, timeout_ms. METHOD may be several with their weights, llm*2+prf. With expansion=recorded
        also expansion.file=FILE and, where that holds several runs, expansion.run=METHOD/MODEL.
    grid
        Of one variant four: its expansion off and on, its reranker off and on. Tells what expansion adds behind the
        reranker.
    baseline
        Name of the variant that the others are compared with; without it the first.
    measures
        Names of ir-measures, comma-separated, such as nDCG@10,R(rel=2)@100; without it nDCG@10,RR@10,R@100.
    reference
        The measure that wins, losses, harm and the worst and best queries are told by; without it the first.
    serving
        complete waits for every expansion: what is best. live is what live traffic gets: queries in the order of the
        file, each with the deadline of the API (timeout_ms of the variant, or 2000), no expansion cached before.
    candidates
        FILE or FILE:RUN: recorded candidate lists in place of the retriever, plain or gzip. FILE holds TREC runs, lines
        "query-id Q0 doc-id rank score RUN" as --runs writes them, read in the order of their scores; or JSONL, one
        {"query_id": ..., "run": RUN, "docs": [ids, best first]} a line. RUN may be left out if there is one only.
    shuffle
        Shuffle the recorded lists by this seed.
    runs
        Folder for one TREC run, NAME.trec, of each variant.
    html
        File for a report with plots: one page that needs nothing else.
    record
        File for what the chat model says, to be read by expansion=recorded; added to where it is there.
    rpm
        Calls a minute of the chat model, at most.
    tpm
        Tokens a minute of the chat model, at most.
    max_tokens
        Tokens of the chat model in all; where they are used up, what is done is told.

    """
    given = {"--index": index, "--queries": queries, "--qrels": qrels}
    of_judged = {"--measures": measures, "--reference": reference, "--grid": grid or None, "--html": html}
    _check_together(directory, given, {"--candidates": candidates, "--shuffle": shuffle}, of_judged)
    comparison = compare(
        variant or (),
        measures=measures,
        baseline=baseline,
        reference=reference,
        serving=serving,
        pace=pace_of(rpm, tpm, max_tokens),
        grid=grid,
    )
    outputs = Outputs(json=json, runs=runs, html=html)
    with nullcontext() if record is None else Recording(record) as recording:
        if index is not None and queries is not None:
            asked = plan_index(index, queries, qrels, comparison, outputs)
            evaluate_index(asked, settings(engine=engine), outputs, recording)
        elif directory is not None:
            plan = plan_folder(directory, comparison, candidates=candidates, shuffle=shuffle)
            evaluate_folder(plan, settings(engine=engine), outputs, recording)


def _check_together(
    directory: Path | None, live: Mapping[str, Any], of_a_folder: Mapping[str, Any], of_judged: Mapping[str, Any]
) -> None:
    """Raises ConfigurationError for options that do not go together."""
    given = [name for name, value in live.items() if value is not None]
    if directory is not None and given:
        raise ConfigurationError(
            f"{given[0]} and the folder {directory} exclude each other.",
            hint="A folder brings its own corpus, queries and judgements; --index and --queries name yours.",
        )
    if directory is None and not given:
        raise ConfigurationError(
            "Nothing is named to be evaluated.",
            hint="Name the folder of a collection, or --index NAME --queries FILE [--qrels FILE].",
        )
    missing = [name for name in ("--index", "--queries") if live[name] is None]
    if directory is None and missing:
        raise ConfigurationError(f"{given[0]} needs {missing[0]}.", hint="--index NAME --queries FILE [--qrels FILE].")
    foreign = [name for name, value in of_a_folder.items() if value is not None]
    if directory is None and foreign:
        raise ConfigurationError(
            f"{foreign[0]} goes with the folder of a collection, not with --index.",
            hint="Recorded lists name documents of a corpus that is read from there.",
        )
    unmeasured = [name for name, value in of_judged.items() if value is not None]
    if directory is None and unmeasured and live["--qrels"] is None:
        raise ConfigurationError(f"{unmeasured[0]} needs --qrels: without judgements nothing can be measured.")
