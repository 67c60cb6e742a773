"""Feedback from the first pass: weights by hand, and why a term is dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.errors import BackendUnavailable
from searchsvc.expansion.prf import Feedback, PrfExpander
from searchsvc.forms import compose, plain_query
from searchsvc.model import Candidate, Deadline, Form, Ranking
from searchsvc.protocols import ExpandRequest, TermCounts
from searchsvc.result import Expansion
from searchsvc.schema import Caller
from tests.support.embedded import analyzer

CALLER = Caller("Bearer somebody")


@dataclass
class SmallIndex:
    """Documents are split at spaces; every term but those of `df` is in 10 of 1000."""

    df: Mapping[str, int] = field(default_factory=dict)
    callers: list[Caller | None] = field(default_factory=list)

    async def document_frequencies(
        self, terms: Sequence[str], *, deadline: Deadline, caller: Caller | None = None
    ) -> TermCounts:
        self.callers.append(caller)
        return TermCounts(doc_count=1000, df={term: self.df.get(term, 10) for term in terms})

    async def tokens(
        self, candidates: Sequence[Candidate], *, deadline: Deadline, caller: Caller | None = None
    ) -> Sequence[Mapping[str, int]]:
        self.callers.append(caller)
        return [Counter(each.text.split()) for each in candidates]

    async def pair_frequencies(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline, caller: Caller | None = None
    ) -> Mapping[tuple[str, str], int]:
        raise NotImplementedError

    async def holding(
        self, terms: Sequence[str], doc_ids: Sequence[str], *, deadline: Deadline, caller: Caller | None = None
    ) -> Mapping[str, frozenset[str]]:
        raise NotImplementedError


def found(*documents: tuple[float, str]) -> Ranking:
    return Ranking(
        candidates=tuple(
            Candidate(doc_id=f"d{place}", score=score, source={"text": text})
            for place, (score, text) in enumerate(documents, 1)
        )
    )


async def expand(
    first: Ranking, index: SmallIndex | None = None, *, terms: int = 64, feedback: Feedback | None = None
) -> Expansion:
    async def first_pass() -> Ranking:
        return first

    expander = PrfExpander(index or SmallIndex(), analyzer(), feedback or Feedback())
    return await expander.expand(
        ExpandRequest(
            user_query="router", deadline=Deadline.after_ms(5000), terms=terms, first_pass=first_pass, caller=CALLER
        )
    )


def kept(expansion: Expansion) -> dict[str, float]:
    return {each.term: each.frequency for each in expansion.terms if each.kept}


async def test_terms_weigh_as_the_relevance_model_says() -> None:
    first = found((2.0, "router router dhcp lease"), (1.0, "router cable"))
    weights = kept(await expand(first, feedback=Feedback(sharpness=1)))
    average = 3  # terms of a document

    assert weights == pytest.approx(
        {
            "router": average * (2 / 3 * 2 / 4 + 1 / 3 * 1 / 2),
            "dhcp": average * 2 / 3 / 4,
            "lease": average * 2 / 3 / 4,
            "cable": average * 1 / 3 / 2,
        }
    )


async def test_a_sharper_model_hears_the_best_document_more_whatever_the_scale_of_the_scores() -> None:
    plain = kept(await expand(found((2.0, "dhcp"), (1.0, "cable")), feedback=Feedback(sharpness=1)))
    sharp = kept(await expand(found((2.0, "dhcp"), (1.0, "cable")), feedback=Feedback(sharpness=3)))
    scaled = kept(await expand(found((2e6, "dhcp"), (1e6, "cable")), feedback=Feedback(sharpness=3)))

    assert plain["dhcp"] / plain["cable"] == pytest.approx(2)
    assert sharp["dhcp"] / sharp["cable"] == pytest.approx(8)
    assert scaled == pytest.approx(sharp)


async def test_the_mixture_is_rm3() -> None:
    expansion = await expand(found((2.0, "router dhcp dhcp dhcp"), (2.0, "router dhcp dhcp dhcp")))
    query = compose(plain_query("router", ["router"]), expansion, form=Form.MIXTURE, weight=0.5).query

    assert {each.term: each.weight for each in query.terms} == pytest.approx(
        {"router": 0.5 + 0.5 / 4, "dhcp": 0.5 * 3 / 4}
    )


async def test_every_term_that_is_left_out_says_why() -> None:
    index = SmallIndex(df={"common": 101, "gone": 0, "edge": 100})
    text = "the the the common common gone gone edge edge dhcp dhcp lease x 7 2024"
    expansion = await expand(found((1.0, text)), index, feedback=Feedback(terms=3))

    assert {each.term: each.reason for each in expansion.terms} == {
        "the": "stop word",
        "common": "in too many documents",
        "gone": "not in the index",
        "edge": "",
        "dhcp": "",
        "2024": "",
        "lease": "beyond the limit of 3",
    }
    assert all(each.kept == (not each.reason) for each in expansion.terms)
    assert expansion.doc_count == 1000


async def test_in_a_small_index_a_term_of_all_feedback_documents_is_not_in_too_many() -> None:
    ten = found(*[(1.0, "dhcp")] * 10)

    assert kept(await expand(ten, SmallIndex(df={"dhcp": 10})))
    reasons = [each.reason for each in (await expand(ten, SmallIndex(df={"dhcp": 101}))).terms]
    assert reasons == ["in too many documents"]


async def test_no_more_is_proposed_than_was_asked_for() -> None:
    words = " ".join(f"word{number}" for number in range(100))

    assert len(kept(await expand(found((1.0, words))))) == Feedback().terms
    assert len((await expand(found((1.0, words)), terms=5)).terms) == 5


async def test_only_the_best_documents_are_read() -> None:
    expansion = await expand(found(*[(1.0, "dhcp")] * 10, (1.0, "cable")))

    assert list(kept(expansion)) == ["dhcp"]
    assert expansion.detail == {"feedback_documents": [f"d{place}" for place in range(1, 11)]}


async def test_a_term_tells_the_documents_it_comes_from_and_how_they_write_it() -> None:
    documents = [(float(5 - place), f"DHCP dhcp {'pad ' * place}") for place in range(5)]
    expansion = await expand(found(*documents))
    term = next(each for each in expansion.terms if each.term == "dhcp")

    assert (term.source, term.source_text) == ("prf", "d1, d2, d3 and 2 more")
    assert term.surface == "DHCP"
    assert expansion.text.split()[0] == "DHCP"


async def test_the_rights_of_the_caller_go_along() -> None:
    index = SmallIndex()
    await expand(found((1.0, "dhcp")), index)

    assert index.callers == [CALLER, CALLER]


async def test_without_a_first_pass_or_hits_there_are_no_terms_and_the_reason_is_told() -> None:
    expander = PrfExpander(SmallIndex(), analyzer())
    request = ExpandRequest(user_query="router", deadline=Deadline.after_ms(5000), terms=64)

    assert (await expander.expand(request)).terms == ()
    assert (await expander.expand(request)).detail == {"no_terms": "nothing is retrieved first"}
    assert (await expand(Ranking())).detail == {"no_terms": "the query finds nothing"}


async def test_a_first_pass_that_failed_is_the_failure() -> None:
    async def failed() -> Ranking:
        raise BackendUnavailable("no shard answers")

    request = ExpandRequest(user_query="router", deadline=Deadline.after_ms(5000), terms=64, first_pass=failed)
    with pytest.raises(BackendUnavailable):
        await PrfExpander(SmallIndex(), analyzer()).expand(request)


@given(
    st.lists(
        st.tuples(
            st.floats(min_value=-5, max_value=1e6, allow_nan=False), st.sampled_from(["", "dhcp", "dhcp cable 网络"])
        ),
        min_size=1,
        max_size=12,
    )
)
async def test_whatever_the_scores_weights_are_positive_and_finite(documents: list[tuple[float, str]]) -> None:
    weights = kept(await expand(found(*documents)))

    assert all(0 < weight < 100 for weight in weights.values())
