from __future__ import annotations

from searchsvc.expanding import Expanding
from searchsvc.model import Deadline, SearchRequest


async def test_a_defect_in_counting_costs_the_counts_and_not_the_search():
    async def count():
        raise KeyError("df")

    request = SearchRequest(query_id="q", user_query="linux", index="documents")
    expanding = Expanding(request, (), Deadline.after_ms(1000), count=count)
    expanding.start()

    assert await expanding.counts() is None
