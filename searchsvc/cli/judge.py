"""`searchsvc judge`: makes judgements of what some variants find, by a person at the keys or by a chat model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.markup import escape

from searchsvc.cli.common import EngineName, Json, out, print_json, progress, settings, talk
from searchsvc.cli.judge_lines import agreement_line, agreement_table, failure_lines, left_out_lines
from searchsvc.cli.judge_screen import judge_on_screen
from searchsvc.errors import ConfigurationError, StageError
from searchsvc.evaluation.judgements import HUMAN, JudgementFile
from searchsvc.evaluation.judging import ENOUGH, Agreement, Pair, Session, agreement, can_be_written
from searchsvc.evaluation.llm_judge import Grading, grade_all, graded, source_of
from searchsvc.evaluation.pooling import Pool, pool
from searchsvc.evaluation.queries import read_queries
from searchsvc.evaluation.variants import Variant, check_methods, parse_variants
from searchsvc.expansion.guard.chat import GuardedChat
from searchsvc.model import DEFAULT_INDEX, Deadline
from searchsvc.settings import Settings
from searchsvc.wiring import Runtime, open_runtime

_MODELS_MS = 10_000
"""To list the models of a server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What was asked for, read and checked before anything runs."""

    index: str
    queries_file: Path
    queries: Mapping[str, str]
    variants: Sequence[Variant]
    file: JudgementFile
    llm: bool


@dataclass(slots=True, kw_only=True)
class _Asked:
    """What the chat model made of the pairs."""

    source: str
    graded: int = 0
    tokens: dict[str, int] = field(default_factory=lambda: {"input": 0, "output": 0})
    failed: list[tuple[Pair, StageError]] = field(default_factory=list)


def judge(
    *,
    queries: Path,
    index: str = DEFAULT_INDEX,
    variant: Annotated[list[str] | None, Parameter(negative=())] = None,
    qrels: Annotated[Path, Parameter(name="--out")] = Path("qrels.tsv"),
    llm: Annotated[bool, Parameter(negative=())] = False,
    engine: EngineName | None = None,
    json: Json = False,
) -> None:
    """Judge the ten best documents of each variant, query by query, without seeing who found them.

    Keys: 0 not relevant, 1 related, 2 relevant, 3 exactly; u undoes, s skips, q ends. Each judgement is in the file at
    once, and what is in the file is not asked again.

    Parameters
    ----------
    queries
        File of the queries, as for evaluate.
    index
        The published name.
    variant
        NAME:key=value,key=value, as for evaluate; may be given more than once.
    qrels
        File of the judgements; made, or added to.
    llm
        Have the chat model of the settings (expander.url) judge, and tell how far it agrees with people.
    engine
        embedded, or elasticsearch.

    """
    plan = _Plan(
        index=index,
        queries_file=queries,
        queries=_checked(read_queries(queries), queries),
        variants=parse_variants(variant or ()),
        file=JudgementFile(qrels),
        llm=llm,
    )
    pooled, asked = asyncio.run(_run(plan, settings(engine=engine)))
    _tell(left_out_lines(pooled))
    if asked is not None:
        _report_model(plan, pooled, asked, json=json)
    else:
        _judge_here(plan, pooled, json=json)


def _checked(queries: Mapping[str, str], file: Path) -> Mapping[str, str]:
    for query_id in queries:
        if not can_be_written(query_id):
            raise ConfigurationError(
                f"{file}: the query id {query_id!r} holds a tab or a line break, which no file of judgements can hold.",
                hint="Give that query another id.",
            )
    return queries


async def _run(plan: _Plan, effective: Settings) -> tuple[Pool, _Asked | None]:
    async with open_runtime(effective, recorded=True) as runtime:
        chat = _chat(runtime) if plan.llm else None
        asked = None if chat is None else _Asked(source=source_of(await chat.model(Deadline.after_ms(_MODELS_MS))))
        check_methods(plan.variants, list((await runtime.service.pipeline(plan.index)).expanders))
        with progress() as bar:
            task = bar.add_task("searching", total=len(plan.queries))
            pooled = await pool(
                plan.queries,
                plan.variants,
                index=plan.index,
                search=runtime.service.search,
                done=lambda: bar.advance(task),
            )
        if chat is not None and asked is not None:
            await _ask(plan, pooled, chat, asked)
        return pooled, asked


def _chat(runtime: Runtime) -> GuardedChat:
    if runtime.chat is None:
        raise ConfigurationError(
            "--llm asks a chat model, and none is set.", hint="Set SEARCHSVC_EXPANDER__URL, or judge at the keys."
        )
    return runtime.chat


async def _ask(plan: _Plan, pooled: Pool, chat: GuardedChat, asked: _Asked) -> None:
    """The pairs that this model has not judged by this rubric before."""
    before = plan.file.grades(asked.source)
    pairs = [pair for pair in pooled.pairs if pair.key not in before]
    with progress() as bar:
        task = bar.add_task("asking the chat model", total=len(pairs))

        def told(pair: Pair, outcome: Grading | StageError) -> None:
            _note(pair, outcome, asked, plan.file)
            bar.advance(task)

        await grade_all(pairs, lambda pair: graded(chat, pair), told)


def _note(pair: Pair, outcome: Grading | StageError, asked: _Asked, file: JudgementFile) -> None:
    if isinstance(outcome, StageError):
        asked.failed.append((pair, outcome))
        return
    file.add(pair.key, outcome.grade, asked.source)
    asked.graded += 1
    asked.tokens["input"] += outcome.call.input_tokens or 0
    asked.tokens["output"] += outcome.call.output_tokens or 0


def _judge_here(plan: _Plan, pooled: Pool, *, json: bool) -> None:
    session = Session(pooled.pairs, plan.file.grades(HUMAN))
    if session.current is not None:
        judge_on_screen(session, plan.file, talk())
    counts = {"judged": session.judged, "skipped": session.skipped, "left": session.left}
    if json:
        print_json(_summary(plan, pooled, HUMAN) | counts)
        return
    told = ", ".join(f"{count} {what}" for what, count in counts.items())
    out().print(escape(f"{session.total} pairs of {len(plan.queries)} queries: {told}; written to {plan.file.path}"))
    if session.judged:
        files = f"--queries {plan.queries_file} --qrels {plan.file.path}"
        talk().print(escape(f"Next:  searchsvc evaluate --index {plan.index} {files}"))


def _report_model(plan: _Plan, pooled: Pool, asked: _Asked, *, json: bool) -> None:
    by_model = plan.file.grades(asked.source)
    judged = sum(pair.key in by_model for pair in pooled.pairs)
    agreed = agreement(plan.file.grades(HUMAN), by_model)
    _tell(failure_lines(asked.failed))
    if json:
        counts = {"judged": judged, "asked": asked.graded + len(asked.failed), "failed": len(asked.failed)}
        told = {"pairs": agreed.pairs, "needed": ENOUGH, "kappa": agreed.kappa, "table": agreed.table}
        print_json(_summary(plan, pooled, asked.source) | counts | {"tokens": asked.tokens, "agreement": told})
    else:
        _print_model(plan, pooled, asked, judged, agreed)
    if asked.failed and not asked.graded:
        raise StageError(
            f"The chat model graded none of {len(asked.failed)} pairs.", hint=f"The first: {asked.failed[0][1].message}"
        )


def _summary(plan: _Plan, pooled: Pool, source: str) -> dict[str, Any]:
    return {
        "index": plan.index,
        "variants": [f"{variant.name}:{variant.spec}" for variant in plan.variants],
        "queries": len(plan.queries),
        "queries_failed": list(pooled.failed),
        "queries_without_document": pooled.empty,
        "degraded": pooled.degraded,
        "pairs": len(pooled.pairs),
        "source": source,
        "out": str(plan.file.path),
    }


def _print_model(plan: _Plan, pooled: Pool, asked: _Asked, judged: int, agreed: Agreement) -> None:
    console = out()
    pairs = f"{len(pooled.pairs)} pairs of {len(plan.queries)} queries"
    now = f"{asked.graded} of them now ({asked.tokens['input']} tokens in, {asked.tokens['output']} out)"
    console.print(escape(f"{pairs}: {judged} judged by {asked.source}, {now}; written to {plan.file.path}"))
    if agreed.pairs:
        console.print(agreement_table(agreed))
    console.print(agreement_line(agreed))


def _tell(lines: Sequence[str]) -> None:
    for line in lines:
        talk().print(escape(line))
