"""What the dictionaries propose for a query, how heavily, and what they leave out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from searchsvc.errors import BackendRejected, BackendTimeout
from searchsvc.expansion.dictionary.expander import DictionaryExpander
from searchsvc.expansion.dictionary.loading import Dictionary, load_dictionary
from searchsvc.expansion.dictionary.senses import CONTEXT_WORDS, MAX_PAIRS, MIN_TOGETHER, supported
from searchsvc.expansion.dictionary.synonyms import Rule
from searchsvc.expansion.dictionary.table import SynonymTable
from searchsvc.expansion.dictionary.wordnet import WordNet
from searchsvc.forms import idf
from searchsvc.model import Deadline, Form
from searchsvc.protocols import Expander, ExpandRequest, TermCounts
from searchsvc.result import Expansion
from tests.support.analyzers import analyzer
from tests.support.token_sets import TokenSets
from tests.support.wordnet import write_wordnet

LEXICON = load_dictionary((), analyzer())


def documents(*texts: str, empty: int = 0) -> TokenSets:
    """An index of these texts, and of so many that hold nothing."""
    sets = [frozenset(analyzer().terms(text)) for text in texts]
    return TokenSets(sets + [frozenset()] * empty)


def rules(*pairs: str) -> Dictionary:
    """`a, b` and `a => b` by line, as in a file."""
    read = []
    for line, text in enumerate(pairs, 1):
        left, arrow, right = text.partition(" => ")
        entries = tuple(left.split(", "))
        read.append(
            Rule(left=entries, right=tuple(right.split(", ")) if arrow else entries, file=Path("own.txt"), line=line)
        )
    return Dictionary(table=SynonymTable(read, analyzer()))


async def expand(
    dictionary: Dictionary | None,
    index: TokenSets,
    user_query: str,
    *,
    terms: int = 32,
    within_ms: float = 5000,
    as_written: bool = False,
) -> Expansion:
    assert dictionary is not None
    expander: Expander = DictionaryExpander(dictionary, index, analyzer(), as_written=as_written)
    return await expander.expand(
        ExpandRequest(user_query=user_query, deadline=Deadline.after_ms(within_ms), terms=terms)
    )


def kept(expansion: Expansion) -> dict[str, float]:
    return {term.term: round(term.frequency, 4) for term in expansion.terms if term.kept}


def dropped(expansion: Expansion) -> dict[str, str]:
    return {term.term: term.reason for term in expansion.terms if not term.kept}


async def test_a_word_of_the_lexicon_brings_its_other_names() -> None:
    index = documents("windows BSOD after an update", "a blue screen", "蓝屏 以后", empty=7)

    expansion = await expand(LEXICON, index, "windows 蓝屏")

    assert expansion.method == "dictionary"
    assert kept(expansion) == {"bsod": 0.5, "blue": 0.25, "screen": 0.25}
    assert expansion.doc_count == 10
    assert expansion.detail == {"matched": ["蓝屏"]}
    by_term = {term.term: term for term in expansion.terms}
    bsod = by_term["bsod"]
    assert (bsod.df, bsod.source, bsod.surface) == (1, "dictionary", "BSOD")
    assert bsod.source_text.startswith("蓝屏 (it.synonyms.txt:")
    assert set(expansion.text.split()) == {"BSOD", "blue", "screen"}


async def test_the_alternatives_that_the_index_has_share_the_mass_of_the_words() -> None:
    dictionary = rules("alpha beta => bb, cc, dd", "gamma => ee")
    index = documents("bb cc ee", empty=10)

    expansion = await expand(dictionary, index, "alpha beta gamma")

    assert kept(expansion) == {"bb": 1.0, "cc": 1.0, "ee": 1.0}  # two words shared by two, one word for one
    assert dropped(expansion) == {"dd": "not in the index"}


async def test_a_term_that_comes_from_two_sides_has_the_weight_of_both() -> None:
    expansion = await expand(rules("aa => xx, yy", "bb => xx"), documents("xx yy", empty=3), "aa bb")

    assert kept(expansion) == {"xx": 1.5, "yy": 0.5}
    assert [term.source_text for term in expansion.terms if term.term == "xx"] == ["aa (own.txt:1)"]


async def test_every_reason_is_told() -> None:
    dictionary = rules("printer => printing the page, everywhere, absent, device, printers, gadget")
    index = documents(*["everywhere"] * 30, *["print"] * 2, *["device gadget page"] * 8)

    expansion = await expand(dictionary, index, "printer page", terms=2)

    assert dropped(expansion) == {
        "the": "stop word",
        "page": "already in the query",
        "everywher": "in too many documents",
        "absent": "not in the index",
        "gadget": "beyond the limit of 2",
    }
    assert set(kept(expansion)) == {"print", "devic"}  # `printers` is the word itself


async def test_a_small_index_has_no_term_in_too_many_documents() -> None:
    expansion = await expand(rules("aa => bb"), documents("bb", "bb", "bb"), "aa")

    assert kept(expansion) == {"bb": 1.0}


async def test_the_limit_leaves_those_of_the_largest_frequency_times_idf() -> None:
    index = documents(*["common"] * 9, "rare", empty=10)

    expansion = await expand(rules("aa => common, rare"), index, "aa", terms=1)

    assert list(kept(expansion)) == ["rare"]
    assert dropped(expansion) == {"common": "beyond the limit of 1"}
    assert [term.term for term in expansion.terms] == ["rare", "common"]


async def test_the_terms_stand_for_the_words_that_brought_one() -> None:
    dictionary = rules("alpha beta => bb", "gamma => ee", "delta => ff")
    index = documents("bb ee", empty=9)

    async def share(user_query: str) -> float:
        return (await expand(dictionary, index, user_query)).stands_for

    assert await share("alpha beta") == 1.0
    assert await share("my alpha beta") == 1.0  # stop words say nothing
    assert await share("gamma red green blue") == 0.25
    assert await share("alpha beta gamma delta") == 0.75  # nothing is added for delta
    assert await share("delta") == 0.0


async def test_no_term_comes_twice_and_those_of_the_query_never_come() -> None:
    expansion = await expand(LEXICON, documents("蓝屏 BSOD blue screen 死机"), "蓝屏 BSOD blue screen 卡死")

    assert len({term.term for term in expansion.terms}) == len(expansion.terms)
    assert kept(expansion).keys().isdisjoint({"蓝屏", "bsod", "blue", "screen"})


@pytest.mark.parametrize("user_query", ["", "   ", "weather in Paris", "的 了", "\0\ud800", "?!"])
async def test_a_query_that_no_dictionary_knows_asks_no_index(user_query: str) -> None:
    index = documents("weather")

    expansion = await expand(LEXICON, index, user_query)

    assert (expansion.terms, expansion.text) == ((), "")
    assert (index.counted, index.paired) == ([], [])


async def test_the_index_is_asked_once_where_every_rule_is_of_one_sense() -> None:
    index = documents("BSOD", empty=3)

    await expand(LEXICON, index, "电脑蓝屏 然后 断网")

    assert len(index.counted) == 1
    assert len(set(index.counted[0])) == len(index.counted[0])
    assert index.paired == []


# --- senses ---

MONITOR = "monitor => display screen", "monitor => lizard"


async def test_a_word_of_several_senses_brings_nothing_without_company() -> None:
    expansion = await expand(rules(*MONITOR), documents("display screen lizard", empty=5), "monitor")

    assert kept(expansion) == {}
    assert dropped(expansion) == dict.fromkeys(["display", "screen", "lizard"], "several senses")


async def test_the_sense_that_keeps_company_with_the_query_in_the_index_is_added() -> None:
    index = documents(*["cable display screen"] * 3, *["lizard zoo"] * 3, empty=10)

    assert set(kept(await expand(rules(*MONITOR), index, "monitor cable"))) == {"display", "screen"}
    assert set(kept(await expand(rules(*MONITOR), index, "monitor in the zoo"))) == {"lizard"}


async def test_all_words_of_an_alternative_must_keep_company() -> None:
    index = documents(*["cable screen"] * 3, *["display zoo"] * 3, empty=10)

    expansion = await expand(rules(*MONITOR), index, "monitor cable")

    assert kept(expansion) == {}
    assert dropped(expansion)["screen"] == "several senses"


async def test_stop_words_and_the_word_itself_are_no_company() -> None:
    index = documents(*["monitor the lizard"] * 5, empty=20)

    expansion = await expand(rules(*MONITOR), index, "the monitor")

    assert kept(expansion) == {}
    assert index.paired == []


async def test_a_few_documents_with_both_may_be_chance() -> None:
    few = documents(*["lizard zoo"] * (MIN_TOGETHER - 1), empty=90)
    enough = documents(*["lizard zoo"] * MIN_TOGETHER, empty=90)

    assert kept(await expand(rules(*MONITOR), few, "monitor zoo")) == {}
    assert set(kept(await expand(rules(*MONITOR), enough, "monitor zoo"))) == {"lizard"}


@pytest.mark.parametrize(("empty", "company"), [(4, False), (52, False), (53, True)])
async def test_what_meets_hardly_more_often_than_by_chance_is_no_company(empty: int, company: bool) -> None:
    index = documents(*["lizard zoo"] * 4, *["lizard"] * 4, *["zoo"] * 4, empty=empty)  # by chance 8 · 8 / N

    assert set(kept(await expand(rules(*MONITOR), index, "monitor zoo"))) == ({"lizard"} if company else set())


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 50), st.integers(0, 1000))
def test_company_is_pointwise_mutual_information_above_two_bits(df: int, other: int, both: int, neither: int) -> None:
    both = min(both, df, other)
    doc_count = df + other - both + neither
    bits = math.log2(both * doc_count / (df * other)) if both else -math.inf
    assume(abs(bits - 2) > 1e-9)  # there the logarithm rounds

    kept_company = supported("a", ["b"], {("a", "b"): both}, TermCounts(doc_count=doc_count, df={"a": df, "b": other}))

    assert kept_company == (both >= MIN_TOGETHER and bits > 2)


async def test_only_the_rarest_words_of_a_long_query_are_asked_about() -> None:
    words = [f"word{letter}" for letter in "abcdefgh"]
    index = documents(*(" ".join(words[place:]) for place in range(8)), "lizard display screen")

    await expand(rules(*MONITOR), index, "monitor " + " ".join(words))

    [pairs] = index.paired
    assert {other for _, other in pairs} == {"worda", "wordb", "wordc", "wordd"}
    assert len(pairs) == 3 * CONTEXT_WORDS


async def test_an_index_is_never_asked_for_more_pairs_than_agreed() -> None:
    many = [f"sense{number}" for number in range(200)]
    index = documents(" ".join(many), "aa bb cc dd", empty=3)

    await expand(rules(*(f"monitor => {each}" for each in many)), index, "monitor aa bb cc dd")

    [pairs] = index.paired
    assert len(pairs) == MAX_PAIRS


# --- an index that is asked as people write ---


class AsWritten(TokenSets):
    """Phrases of texts in lower case."""


def written(*texts: str, empty: int = 0) -> TokenSets:
    def phrases(text: str) -> Iterable[str]:
        words = text.lower().split()
        return (" ".join(words[start:end]) for start in range(len(words)) for end in range(start + 1, len(words) + 1))

    return AsWritten([frozenset(phrases(text)) for text in texts] + [frozenset()] * empty)


async def test_as_written_every_alternative_is_one_phrase() -> None:
    index = written("Blue Screen of death", "BSOD", empty=8)

    expansion = await expand(LEXICON, index, "windows 蓝屏", as_written=True)

    assert kept(expansion) == {"bsod": 0.5, "blue screen": 0.5}
    assert {term.surface for term in expansion.terms} >= {"BSOD", "blue screen"}


async def test_as_written_a_phrase_of_the_query_is_not_added() -> None:
    expansion = await expand(LEXICON, written("BSOD blue screen"), "Blue Screen 蓝屏", as_written=True)

    assert dropped(expansion) == {"blue screen": "already in the query", "蓝屏": "already in the query"}
    assert set(kept(expansion)) == {"bsod"}


async def test_as_written_senses_are_told_apart_by_words() -> None:
    index = written(*["CABLES display screen"] * 3, *["lizard zoo"] * 3, empty=10)

    expansion = await expand(rules(*MONITOR), index, "monitor Cables", as_written=True)

    assert set(kept(expansion)) == {"display screen"}
    assert dropped(expansion) == {"lizard": "several senses"}


# --- WordNet ---


@pytest.fixture
def wordnet(tmp_path: Path) -> WordNet:
    return WordNet(write_wordnet(tmp_path), analyzer())


def beside(wordnet: WordNet, *lines: str) -> Dictionary:
    return Dictionary(table=rules(*lines).table, wordnet=wordnet)


async def test_wordnet_is_asked_about_what_no_rule_knows(wordnet: WordNet) -> None:
    index = documents("portable computer notebook mend", empty=5)

    expansion = await expand(beside(wordnet, "laptop => notebook"), index, "repair laptop")

    assert kept(expansion) == {"notebook": 1.0, "mend": 1.0}
    assert {term.source_text for term in expansion.terms} >= {"laptop (own.txt:1)", "repair (WordNet)"}


async def test_a_word_with_several_synonym_sets_needs_company(wordnet: WordNet) -> None:
    index = documents(*["software glitch defect"] * 3, *["insect garden"] * 3, empty=10)

    alone = await expand(beside(wordnet), index, "bug")
    in_software = await expand(beside(wordnet), index, "software bug")

    assert dropped(alone) == dict.fromkeys(["glitch", "defect", "insect"], "several senses")
    assert set(kept(in_software)) == {"glitch", "defect"}
    assert dropped(in_software)["insect"] == "several senses"


async def test_a_damaged_database_is_configuration(wordnet: WordNet, tmp_path: Path) -> None:
    (tmp_path / "index.noun").write_text("nonsense\n")

    with pytest.raises(BackendRejected, match=r"index\.noun is damaged, line 1\. Install"):
        await expand(beside(wordnet), documents("laptop"), "laptop")


async def test_wordnet_is_awaited_no_longer_than_the_deadline(wordnet: WordNet) -> None:
    with pytest.raises(BackendTimeout):
        await expand(beside(wordnet), documents("laptop"), "laptop", within_ms=0)


async def test_the_deadline_holds_for_the_index_too() -> None:
    with pytest.raises(BackendTimeout):
        await expand(LEXICON, documents("BSOD"), "蓝屏", within_ms=0)


def test_it_joins_the_query_as_a_mixture_with_three_tenths_of_the_mass() -> None:
    assert (DictionaryExpander.default_form, DictionaryExpander.default_weight) == (Form.MIXTURE, 0.3)


_WORDS = (
    "蓝屏",
    "打不开",
    "blue screen",
    "import error",
    "断网",
    "printer",
    "the",
    "大象",
    "ModuleNotFoundError",
    "zebra",
)


@given(st.lists(st.sampled_from(_WORDS), max_size=8), st.integers(1, 5))
async def test_whatever_the_query_the_account_is_whole(words: Sequence[str], limit: int) -> None:
    index = documents("BSOD 无法 打开", "ImportError 失败 导入", "打印机", empty=5)

    expansion = await expand(LEXICON, index, " ".join(words), terms=limit)

    terms = {term.term: term for term in expansion.terms}
    assert len(terms) == len(expansion.terms)
    assert sum(term.kept for term in expansion.terms) <= limit
    for term in expansion.terms:
        assert term.kept == (not term.reason)
        assert term.frequency > 0
        assert term.df == sum(term.term in document for document in index.documents)
    weights = [term.frequency * idf(term.df, expansion.doc_count) for term in expansion.terms]
    assert weights == sorted(weights, reverse=True)
