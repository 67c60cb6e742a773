"""That jieba and rjieba cut alike, so that an index made with one can be searched with the other."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchsvc.documents import Document, parse_document, read_documents
from searchsvc.text import Analyzer
from tests.support.analyzers import analyzer

JIEBA = analyzer("jieba")
RJIEBA = analyzer("rjieba")

HAN = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FD5)
COMMON = st.sampled_from(
    "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天"
)
DEMO = [
    parse_document(line)
    for line in files("searchsvc.demo").joinpath("collection/corpus.jsonl").read_text("utf-8").splitlines()
]
DEMO_WORDS = sorted({run for each in DEMO for run in re.findall(r"[\u4e00-\u9fd5]{1,6}", each.title + each.text)})
_SHUFFLE = Random(3)
USER_WORDS = [
    *_SHUFFLE.sample(DEMO_WORDS, 150),
    *("".join(_SHUFFLE.sample("的一是不了在人有我他这中大来上国个到说们为子", size)) for size in (1, 2, 3, 4, 5) * 30),
]
USER_LINES = [f"{word} {_SHUFFLE.choice(['', '1', '7 n', '3000', '999999999 nz', 'n'])}" for word in USER_WORDS]


def _differences(documents: Iterable[Document]) -> list[str]:
    texts = [f"{each.title}\n{each.text}" for each in documents]
    return [text for text in texts if JIEBA.terms(text) != RJIEBA.terms(text)]


@settings(max_examples=200, deadline=None)
@given(st.text(HAN, max_size=30) | st.text(COMMON, max_size=30) | st.lists(st.sampled_from(DEMO_WORDS)).map("".join))
def test_jieba_and_rjieba_cut_any_chinese_text_alike(text: str) -> None:
    assert JIEBA.terms(text) == RJIEBA.terms(text)
    assert JIEBA.words(text) == RJIEBA.words(text)
    assert JIEBA.words(text, parts=False) == RJIEBA.words(text, parts=False)


@settings(deadline=None)
@given(st.text(st.characters()))
def test_jieba_and_rjieba_give_the_same_terms_for_any_text(text: str) -> None:
    assert JIEBA.terms(text) == RJIEBA.terms(text)


def test_jieba_and_rjieba_cut_the_demo_corpus_alike() -> None:
    assert _differences(DEMO) == []


@pytest.mark.parametrize("text", ["常在较陡峭的礁岸可发现它们", "而已丧丧丧丧丧丧丧"])
def test_near_ties_of_the_hidden_markov_model_turn_the_same_way(text: str) -> None:
    assert JIEBA.terms(text) == RJIEBA.terms(text)


@pytest.mark.slow
@pytest.mark.parametrize("collection", ["zh-mrc", "zh-qbqtc", "zh-lcqmc", "zh-egret"])
def test_jieba_and_rjieba_cut_real_collections_alike(equipment: Path, collection: str) -> None:
    lines = read_documents(equipment / "data" / collection / "corpus.jsonl.gz")

    assert _differences(line for line in lines if isinstance(line, Document)) == []


@pytest.fixture(scope="module")
def with_user_words(tmp_path_factory: pytest.TempPathFactory) -> tuple[Analyzer, Analyzer]:
    dictionary = tmp_path_factory.mktemp("dictionary") / "words.txt"
    dictionary.write_text("\n".join(USER_LINES), "utf-8")
    return Analyzer(dictionary, segmenter="jieba"), Analyzer(dictionary, segmenter="rjieba")


@pytest.mark.slow  # a dictionary of one's own is built anew for each analyser
@settings(max_examples=400, deadline=None)
@given(words=st.lists(st.sampled_from([*DEMO_WORDS, *USER_WORDS])))
def test_a_user_dictionary_works_the_same_in_both(with_user_words: tuple[Analyzer, Analyzer], words: list[str]) -> None:
    jieba, rjieba = with_user_words
    text = "".join(words)

    assert jieba.terms(text) == rjieba.terms(text)
    assert jieba.words(text) == rjieba.words(text)
