"""Dictionaries over the embedded engine: words that a query and its document do not share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from searchsvc.documents import Document
from searchsvc.embedded.engine import EmbeddedEngine
from searchsvc.errors import ConfigurationError
from searchsvc.expansion.dictionary.expander import DictionaryExpander
from searchsvc.expansion.dictionary.loading import load_dictionary
from searchsvc.model import ExpansionOptions, MethodShare, Mode, RerankOptions, SearchRequest
from searchsvc.pipeline import Pipeline
from searchsvc.protocols import OpenIndex
from searchsvc.result import SearchResult, Stage, StageStatus
from searchsvc.settings import Settings
from searchsvc.settings.declared import ExpanderSettings
from searchsvc.wiring import open_runtime
from tests.support.embedded import SUPPORT_ARTICLES, analyzer, loaded_folder, soon
from tests.support.wordnet import write_wordnet

ARTICLES = (
    *SUPPORT_ARTICLES,
    Document(
        doc_id="npe", title="NullPointerException", text="An object was never created before its method is called."
    ),
    Document(doc_id="disk", title="No space left on device", text="Find large files and free disk space."),
    Document(doc_id="laptop", title="Portable computer overheats", text="Clean the fan."),
    *(
        Document(doc_id=f"garden-{number}", title="Insects in the garden", text="An insect eats the roses.")
        for number in range(3)
    ),
    *(
        Document(doc_id=f"release-{number}", title="Release notes", text="This software release mends a glitch.")
        for number in range(3)
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loaded_folder(tmp_path_factory.mktemp("dictionary"), ARTICLES)


@pytest.fixture
async def index(folder: Path) -> AsyncIterator[OpenIndex]:
    engine = EmbeddedEngine(folder, analyzer())
    yield await engine.open("documents")
    await engine.close()


async def search(index: OpenIndex, user_query: str, *, mode: Mode = Mode.ON, **sources: Path) -> SearchResult:
    own = sources.get("own")
    dictionary = load_dictionary(() if own is None else (own,), analyzer(), wordnet=sources.get("wordnet"))
    assert dictionary is not None
    pipeline = Pipeline(
        retriever=index.retriever,
        analyze=analyzer().terms,
        marks=analyzer().terms,
        expanders={"dictionary": DictionaryExpander(dictionary, index.statistics, analyzer())},
        default_methods=("dictionary",),
        reranker=None,
        statistics=index.statistics,
    )
    return await pipeline.search(
        SearchRequest(
            query_id="q",
            user_query=user_query,
            expansion=ExpansionOptions(mode=mode, methods=(MethodShare(name="dictionary"),)),
            rerank=RerankOptions(mode=Mode.OFF),
        ),
        soon(),
    )


def ids(result: SearchResult) -> list[str]:
    return [hit.candidate.doc_id for hit in result.hits]


@pytest.mark.parametrize(
    ("user_query", "wanted"),
    [
        ("空指针", "npe"),
        ("BSOD", "bsod"),
        ("磁盘满了", "disk"),
        ("导入错误", "import"),
        ("導入失敗", "import"),
    ],
)
async def test_a_document_under_another_name_is_found(index: OpenIndex, user_query: str, wanted: str) -> None:
    without = await search(index, user_query, mode=Mode.OFF)
    result = await search(index, user_query)

    assert wanted not in ids(without)
    assert ids(result)[0] == wanted
    assert result.degraded == ()
    assert result.expansion.decision == "expanded"
    assert result.hits[0].retrieval is None
    assert all(
        term.source == "dictionary" and "it.synonyms.txt:" in term.source_text for term in result.expansion.terms
    )


async def test_a_file_of_ones_own_names_itself_in_the_account(index: OpenIndex, tmp_path: Path) -> None:
    own = tmp_path / "house.txt"
    own.write_text("# ours\n老爷机 => portable computer\n", "utf-8")

    result = await search(index, "老爷机", own=own)

    assert ids(result) == ["laptop", *[each for each in ids(result) if each != "laptop"]]
    assert {term.source_text for term in result.expansion.terms} == {"老爷机 (house.txt:2)"}


async def test_the_index_decides_between_the_senses_of_wordnet(index: OpenIndex, tmp_path: Path) -> None:
    wordnet = write_wordnet(tmp_path)

    software = await search(index, "software bug", wordnet=wordnet)
    alone = await search(index, "bug", wordnet=wordnet)

    assert {term.term for term in software.expansion.terms if term.kept} == {"glitch"}
    reasons = {term.term: term.reason for term in software.expansion.terms}
    assert (reasons["insect"], reasons["defect"]) == ("several senses", "not in the index")
    assert ids(alone) == []
    assert alone.expansion.decision == "skipped"


async def test_a_query_that_no_dictionary_knows_is_left_as_it_is(index: OpenIndex) -> None:
    result = await search(index, "restart cable")

    assert ids(result) == ids(await search(index, "restart cable", mode=Mode.OFF))
    assert result.expansion.decision == "skipped"
    [trace] = [trace for trace in result.stages if trace.stage is Stage.EXPAND]
    assert trace.status is StageStatus.OK


async def test_the_service_starts_with_the_lexicon_and_refuses_a_file_that_is_no_dictionary(
    folder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.txt"
    own.write_text("a => b => c\n", "utf-8")
    wanted = SearchRequest(
        query_id="q",
        user_query="空指针",
        expansion=ExpansionOptions(mode=Mode.ON, methods=(MethodShare(name="dictionary"),)),
        timeout_ms=20_000,
    )

    async with open_runtime(Settings(data_dir=folder)) as runtime:
        assert ids(await runtime.service.search(wanted))[0] == "npe"
    with pytest.raises(ConfigurationError, match=r"own\.txt, line 1: .*two arrows"):
        async with open_runtime(Settings(data_dir=folder, expander=ExpanderSettings(dictionaries=(own,)))):
            pass
    with pytest.raises(ConfigurationError, match=r"is no WordNet database: index\.noun, "):
        async with open_runtime(Settings(data_dir=folder, expander=ExpanderSettings(wordnet=tmp_path))):
            pass
