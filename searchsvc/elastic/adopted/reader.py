"""What the readers of an adopted index share: its table, and what goes wrong around their calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from searchsvc.elastic.adopted.bodies import Prepared
from searchsvc.elastic.adopted.fields import header
from searchsvc.elastic.calls import Searches
from searchsvc.elastic.errors import filters_blamed, in_use, text_blamed
from searchsvc.errors import BackendRejected, BackendUnavailable
from searchsvc.model import Filters
from searchsvc.schema import AdoptedIndex, IndexSchema

_RED_HINT = "Look at GET _cluster/health: a shard may have no copy."


class AdoptedReader:
    """One reader of an adopted index, which is asked for by its name: an alias may hold a filter."""

    def __init__(self, searches: Searches, index: AdoptedIndex, schema: IndexSchema) -> None:
        """Raises ConfigurationError for a base_query that cannot be used."""
        self._searches = searches
        self._index = index
        self._prepared = Prepared.of(index, schema)

    def need_fields(self, doing: str) -> None:
        """Raises BackendRejected where no text field is left."""
        if not self._prepared.clauses.fields:
            problems = " ".join(self._prepared.schema.problems)
            raise BackendRejected(
                f"{header(self._index.name)} text_fields: none is left {doing}. {problems}".strip(),
                hint="Mend the table, or the mapping.",
            )


@contextmanager
def serving(index: AdoptedIndex, filters: Filters = (), text: str = "") -> Iterator[None]:
    """Around calls: what was done to the index, and what a caller asked of it that it does not take."""
    try:
        with in_use(index.target), filters_blamed(filters), text_blamed(text):
            yield
    except BackendUnavailable as error:
        raise (error if error.hint else BackendUnavailable(error.message, hint=_RED_HINT)) from error
