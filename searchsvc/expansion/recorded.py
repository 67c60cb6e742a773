"""Expansion from a file: what a chat model once said, put through the same second stage as if it were said now."""

from __future__ import annotations

import asyncio
from typing import Any

from searchsvc.documents import clean
from searchsvc.errors import BackendRejected, InvalidRequest
from searchsvc.expansion.completion import Answer
from searchsvc.expansion.proposals import asked_for, mentions, proposed
from searchsvc.expansion.runs import Record, find_run
from searchsvc.model import Form
from searchsvc.protocols import ExpandRequest, TermStatistics
from searchsvc.result import Expansion
from searchsvc.text import Analyzer

METHOD = "recorded"


class RecordedExpander:
    """Implements Expander for evaluations and replays; it reads files, so no request from outside may name it."""

    default_form = Form.MIXTURE
    default_weight = 0.5

    def __init__(self, statistics: TermStatistics, analyzer: Analyzer, *, as_written: bool = False) -> None:
        """`as_written`: the index is asked for words as people write them, not for index terms."""
        self._statistics = statistics
        self._analyzer = analyzer
        self._as_written = as_written

    async def expand(self, request: ExpandRequest) -> Expansion:
        """What the run has for this query, by its id or its text.

        Raises InvalidRequest where no file is named, ConfigurationError for a file or run that there is not,
        BackendRejected where the run has nothing for this query, StageError of the index.
        """
        if request.recorded is None:
            raise InvalidRequest(
                "The method recorded needs a file.", pointer="/expansion", hint="Name it: expansion.file=FILE."
            )
        run = await asyncio.to_thread(find_run, request.recorded)  # the first call reads the file
        record = run.find(request.query_id, request.user_query)
        if record is None:
            raise BackendRejected(f"The run {run.name} of {request.recorded.file} has nothing for this query.")
        user_query = clean(request.user_query)
        found = mentions(Answer(text=record.text, terms=record.terms), self._analyzer, user_query)
        found = asked_for(found, as_written=self._as_written)
        counts = await self._statistics.document_frequencies(
            [each.term for each in found], deadline=request.deadline, caller=request.caller
        )
        return Expansion(
            method=METHOD,
            text=record.text,
            terms=proposed(found, counts, source=METHOD, limit=request.terms),
            doc_count=counts.doc_count,
            prompt_id=record.prompt,
            detail={"run": run.name, "recorded": _cost(record)},
        )


def _cost(record: Record) -> dict[str, Any]:
    """What the answer cost when it was recorded: not counted as calls of now."""
    return {
        "model": record.model,
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "took_ms": record.took_ms,
    }
