from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchsvc.documents import Document
from searchsvc.embedded.engine import EmbeddedEngine
from searchsvc.embedded.pages import EmbeddedPages
from searchsvc.embedded.retriever import EmbeddedRetriever
from searchsvc.embedded.worker import Worker
from searchsvc.errors import InvalidRequest
from searchsvc.model import AnyOf, SearchRequest, SortKey
from tests.support.embedded import analyzer, lexical_snapshot, load, words_query
from tests.support.pages import all_pages, behind
from tests.support.requests import wanted

LANGUAGES = ("zh", "en", None)
DOCUMENTS = [
    Document(doc_id=f"{place * 7 % 40:02}", text="red " * (1 + place % 3) + "green", lang=LANGUAGES[place % 3])
    for place in range(40)
]
IDS = sorted(document.doc_id for document in DOCUMENTS)


def _pages(folder: Path, documents: list[Document]) -> tuple[EmbeddedPages, EmbeddedRetriever]:
    opened, worker = lexical_snapshot(folder, [documents[:15], documents[15:]]), Worker()
    retriever = EmbeddedRetriever(opened, worker)
    return EmbeddedPages(opened, retriever, worker), retriever


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[EmbeddedPages, EmbeddedRetriever]:
    return _pages(tmp_path_factory.mktemp("pages"), DOCUMENTS)


ORDERS = st.sampled_from(((), (SortKey(field="lang", descending=True),), (SortKey(field="doc_id"),)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    window=st.lists(st.sampled_from(IDS), unique=True, max_size=12),
    shown=st.integers(0, 12),
    sizes=st.lists(st.integers(1, 17), min_size=1, max_size=4),
    sort=ORDERS,
)
async def test_the_window_and_then_the_original_order_hold_every_document_once(
    small, window, shown, sizes, sort
) -> None:
    pages, retriever = small
    query, request = words_query("red"), SearchRequest(query_id="1", user_query="red", sort=sort)
    shown = min(shown, len(window))

    every = await retriever.retrieve(wanted(query, top_k=100, sort=sort))
    lines = await all_pages(
        behind(window, request=request, shown=shown), request=request, query=query, pages=pages, sizes=sizes
    )

    others = [each.doc_id for each in every.ranking if each.doc_id not in window]
    assert [doc_id for _, doc_id in lines] == [*window[shown:], *others]
    assert [rank for rank, _ in lines] == list(range(shown + 1, len(DOCUMENTS) + 1))


async def test_a_stretch_says_whether_anything_comes_after_it(small) -> None:
    pages, _ = small
    query = words_query("red")

    first = await pages.base(wanted(query, top_k=39), start=0, view="")
    whole = await pages.base(wanted(query, top_k=40), start=0, view=first.view)
    beyond = await pages.base(wanted(query, top_k=5), start=40, view=first.view)

    assert (len(first.candidates), first.last) == (39, False)
    assert (len(whole.candidates), whole.last) == (40, True)
    assert (beyond.candidates, beyond.last) == ((), True)


async def test_one_document_a_language_is_the_order_of_pages_too(small) -> None:
    pages, _ = small
    groups = []
    for start in range(3):
        page = await pages.base(wanted(words_query("red"), top_k=1, collapse="lang"), start=start, view="")
        groups += [each.group for each in page.candidates]

    assert len(groups) == 3
    assert set(groups) == {None, "en", "zh"}
    assert page.last


async def test_documents_come_back_if_they_are_there_and_the_filters_let_them_through(small) -> None:
    pages, _ = small
    english = (AnyOf(field="lang", values=("en",)),)

    found = await pages.documents(wanted(words_query("red")), ["07", "00", "none"])
    filtered = await pages.documents(wanted(words_query("red"), filters=english), ["07", "00", "none"])

    assert set(found) == {"00", "07"}
    assert found["07"].source == DOCUMENTS[1].source()
    assert {each.score for each in found.values()} == {0.0}
    assert set(filtered) == {"07"}
    assert await pages.documents(wanted(words_query("red")), []) == {}


async def test_a_query_without_words_has_one_empty_page(small) -> None:
    pages, _ = small

    page = await pages.base(wanted(words_query("?")), start=0, view="")

    assert (page.candidates, page.last) == ((), True)


async def test_after_a_load_the_pages_of_before_are_refused_by_everybody(tmp_path: Path) -> None:
    engine, reader = EmbeddedEngine(tmp_path, analyzer()), EmbeddedEngine(tmp_path, analyzer())
    request = wanted(words_query("red"), top_k=1)
    await load(engine, "documents", DOCUMENTS[:3])
    before = (await engine.open("documents")).pages
    view = (await before.base(request, start=0, view="")).view
    same = await (await reader.open("documents")).pages.base(request, start=1, view=view)
    await load(engine, "documents", DOCUMENTS[3:4])

    assert len(same.candidates) == 1
    for one in (engine, reader):
        with pytest.raises(InvalidRequest, match="The index changed") as caught:
            await (await one.open("documents")).pages.base(request, start=1, view=view)
        assert caught.value.pointer == "/cursor"
        assert '"*"' in caught.value.hint
    await engine.close()
    await reader.close()
