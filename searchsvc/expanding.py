"""The expansions of one search: started together beside the first retrieval, awaited once, each with its outcome."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from searchsvc.errors import BackendTimeout, Defect, ExpansionLate, SearchError, StageError
from searchsvc.model import Deadline, Form, MethodShare, Ranking, SearchRequest, Wait
from searchsvc.protocols import Expander, ExpandRequest, TermCounts
from searchsvc.result import Expansion

SLICE: Mapping[Wait, float] = {Wait.ANSWER: 0.6, Wait.COMPLETE: 0.85}
"""How much of the deadline an expansion may use: what it leaves must do for a second retrieval and the reranker."""
PROPOSALS = 64
"""How many terms an expander is asked for: more than a form keeps, so that the account shows what was cut."""
_QUICK_S = 0.03
"""An expansion that is there so soon after the first retrieval is not worth reranking beside."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one method."""

    method: str
    share: float
    took_ms: float
    expansion: Expansion | None
    """None: it failed, or was late."""
    error: StageError | None = None

    @property
    def late(self) -> bool:
        """It was not awaited; its work may go on."""
        return isinstance(self.error, ExpansionLate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method that takes part, and its share."""

    name: str
    share: float
    expander: Expander

    def form(self, wanted: Form | None) -> Form:
        """How it joins the query."""
        return wanted or self.expander.default_form

    def weight(self, wanted: float | None) -> float:
        """λ."""
        return wanted if wanted is not None else self.expander.default_weight


def methods_of(shares: Sequence[MethodShare], expanders: Mapping[str, Expander]) -> tuple[Method, ...]:
    """The methods that are named, which must all be among `expanders`."""
    return tuple(Method(name=each.name, share=each.weight, expander=expanders[each.name]) for each in shares)


@dataclass(slots=True)
class Expanding:
    """Runs the methods; none of its tasks raises StageError."""

    request: SearchRequest
    methods: tuple[Method, ...]
    until: Deadline
    """When whoever is not there is late."""
    count: Callable[[], Awaitable[TermCounts]] | None = None
    """Counts the query's own terms in the index, for a policy; None: nobody asks."""
    _tasks: list[asyncio.Task[Outcome]] = field(default_factory=list)
    _counting: asyncio.Task[TermCounts | None] | None = None
    _first: asyncio.Future[Ranking] | None = None

    def start(self) -> None:
        """Begin; `first_pass` or `abandon` must follow."""
        self._first = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.create_task(self._run(method)) for method in self.methods]
        if self.count is not None:
            self._counting = asyncio.create_task(_or_none(self.count))

    def first_pass(self, ranking: Ranking) -> None:
        """What the original query found, for the methods that read it."""
        if self._first is not None and not self._first.done():
            self._first.set_result(ranking)

    async def quick(self) -> bool:
        """Whether all are there, after a moment."""
        pending = [task for task in self._tasks if not task.done()]
        if pending:
            await asyncio.wait(pending, timeout=min(_QUICK_S, self.until.left_s()))
        return all(task.done() for task in self._tasks)

    async def outcomes(self) -> tuple[Outcome, ...]:
        """One for each method, in their order; each is there by `until`."""
        return tuple([await task for task in self._tasks])

    async def counts(self) -> TermCounts | None:
        """Of the query's own terms; None if they are not counted, or that failed."""
        return None if self._counting is None else await self._counting

    def abandon(self) -> None:
        """Nobody waits any more."""
        if self._counting is not None:
            self._counting.cancel()
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.exception()  # asked for, or asyncio reports it as nobody's
            task.cancel()
        if self._first is not None:
            self._first.cancel()

    async def _run(self, method: Method) -> Outcome:
        started = time.perf_counter()
        expansion: Expansion | None = None
        error: StageError | None = None
        try:
            expansion = await self._expanded(method)
        except BackendTimeout as timeout:
            error = timeout if self.until.left_s() > 0 else _late(method.name)
        except StageError as failure:
            error = failure
        took_ms = round((time.perf_counter() - started) * 1000, 3)
        return Outcome(method=method.name, share=method.share, took_ms=took_ms, expansion=expansion, error=error)

    async def _expanded(self, method: Method) -> Expansion:
        """What the method proposes; a bug in it costs the expansion and not the search, and is logged whole."""
        request, options = self.request, self.request.expansion
        wanted = ExpandRequest(
            user_query=request.user_query,
            deadline=self.until,
            terms=max(PROPOSALS, options.terms or 0),
            prompt=options.prompt,
            caller=request.caller,
            query_id=request.query_id,
            first_pass=self._first_pass,
            recorded=options.recorded,
        )
        try:
            async with asyncio.timeout(self.until.left_s()):
                return await method.expander.expand(wanted)
        except TimeoutError:
            raise _late(method.name) from None
        except SearchError:
            raise
        except Exception as error:
            _log.exception("defect in the expansion by %s", method.name)
            message = f"The expansion by {method.name} failed by a defect of this service; its log says how."
            raise Defect(message) from error

    async def _first_pass(self) -> Ranking:
        assert self._first is not None, "start() comes first"  # noqa: S101 - a defect here, whatever was asked
        return await asyncio.shield(self._first)


async def _or_none(count: Callable[[], Awaitable[TermCounts]]) -> TermCounts | None:
    try:
        return await count()
    except StageError:
        return None
    except Exception:  # noqa: BLE001 - a bug in it costs the counts and not the search, and is logged whole
        _log.exception("defect in counting the terms of a query")
        return None


def _late(method: str) -> ExpansionLate:
    return ExpansionLate(f"The expansion by {method} was not there in its slice of the deadline.")
