"""What is read out of Elasticsearch's answers, all of them recorded from a real one."""

from __future__ import annotations

from typing import Any

import pytest

from searchsvc.elastic import hits
from searchsvc.elastic.facets import facet_counts, no_counts
from searchsvc.errors import BackendRejected
from searchsvc.model import Range, RangesFacet, ScoreKind, TermsFacet
from searchsvc.result import FacetCount, FacetCounts, Total
from searchsvc.schema import MANAGED, FieldKind, IndexField, IndexSchema
from tests.support.recorded_elasticsearch import recorded

OLD, NEW = "e-rec-v1-20260102030405", "e-rec-v1-20260102030406"


class TestRanking:
    def test_has_the_candidates_best_first(self) -> None:
        ranking = hits.ranking(recorded("search_explained"))

        assert [(each.doc_id, each.score) for each in ranking] == [
            ("kb-1", 2.2655628),
            ("kb-2", 0.77728266),
            ("kb-3", 0.54991394),
        ]
        assert ranking.score_kind is ScoreKind.BM25

    def test_gives_a_document_back_as_it_was_loaded(self) -> None:
        first, second, third = hits.ranking(recorded("search_explained"))

        assert first.source == {
            "title": "导入 失败",
            "text": "python module import",
            "lang": "zh",
            "tags": ["python"],
            "url": "http://x/1",
            "updated_at": "2026-01-02T03:04:05Z",
            "author": "li",
            "views": 3,
        }
        assert second.source == {"title": "network", "text": "linux network unreachable", "updated_at": "2026-W05-1"}
        assert third.source == {"text": "python python"}

    def test_has_contributions_that_add_up_to_the_score(self) -> None:
        ranking = hits.ranking(recorded("search_explained"))

        assert ranking.candidates[0].contributions == {"python": 0.29228947, "失败": 1.9732733}
        for candidate in ranking:
            assert sum(candidate.contributions.values()) == pytest.approx(candidate.score, rel=1e-6)

    def test_has_no_contributions_if_none_were_asked_for(self) -> None:
        assert [each.contributions for each in hits.ranking(recorded("search_shard_failed"))] == [{}, {}, {}]

    def test_is_empty_where_nothing_matches(self) -> None:
        reply = recorded("search_empty")

        assert len(hits.ranking(reply)) == 0
        assert hits.total(reply) == Total(value=0, relation="eq")

    def test_has_the_values_that_it_was_sorted_by_and_collapsed_on(self) -> None:
        reply = recorded("search_arranged")

        plain = hits.ranking(reply)
        arranged = hits.ranking(reply, sorted_by=1, collapsed_on="lang")

        assert [(each.group, each.sort_values) for each in plain] == [(None, ())] * 3
        assert [(each.doc_id, each.group, each.sort_values) for each in arranged] == [
            ("kb-1", "zh", ("2026-01-02T03:04:05.000Z",)),
            ("kb-2", "en", ("2026-01-26T00:00:00.000Z",)),
            ("kb-3", None, (None,)),
        ]


class TestFacets:
    FACETS = (
        TermsFacet(field="tags", size=1),
        TermsFacet(field="updated_at"),
        RangesFacet(field="updated_at", ranges=(Range(field="updated_at", lt="2026-01-31"), Range(field="updated_at"))),
    )

    def test_are_in_the_order_of_the_request(self) -> None:
        tags, dates, ranges = facet_counts(recorded("search_arranged"), self.FACETS, MANAGED)

        assert tags == FacetCounts(field="tags", counts=(FacetCount(value="network", count=2),), other=1)
        assert [(each.value, each.count) for each in dates.counts] == [
            ("2026-01-02T03:04:05.000Z", 1),
            ("2026-01-26T00:00:00.000Z", 1),
        ]
        assert ranges.counts == tuple(FacetCount(value=each, count=2) for each in self.FACETS[2].ranges)

    def test_of_nothing_are_empty_or_zero(self) -> None:
        tags, _, ranges = no_counts(self.FACETS)

        assert tags == FacetCounts(field="tags", counts=())
        assert [each.count for each in ranges.counts] == [0, 0]

    def test_of_booleans_and_numbers_keep_their_kind(self) -> None:
        buckets = [
            {"key": 1, "key_as_string": "true", "doc_count": 2},
            {"key": 0, "key_as_string": "false", "doc_count": 1},
        ]
        numbers = [{"key": 1.5, "doc_count": 3}]
        known = {"sum_other_doc_count": 0, "doc_count_error_upper_bound": -1}
        reply = {"aggregations": {"facet_0": {"buckets": buckets, **known}, "facet_1": {"buckets": numbers, **known}}}
        fields = {
            "open": IndexField(name="open", kind=FieldKind.BOOLEAN),
            "price": IndexField(name="price", kind=FieldKind.NUMBER),
        }
        facets = (TermsFacet(field="open"), TermsFacet(field="price"))
        found = facet_counts(reply, facets, IndexSchema(fields=fields))

        assert [[each.value for each in facet.counts] for facet in found] == [[True, False], [1.5]]
        assert found[0].error == 0

    def test_of_another_server_are_refused(self) -> None:
        with pytest.raises(BackendRejected):
            facet_counts({"hits": {}}, self.FACETS, MANAGED)


class TestMissingPart:
    def test_is_nothing_in_a_full_answer(self) -> None:
        assert hits.missing_part(recorded("search_explained")) == ""

    def test_names_shards_that_failed(self) -> None:
        reply = recorded("search_shard_failed")

        assert hits.missing_part(reply) == "1 of 2 shards did not answer (query_shard_exception)."
        assert not hits.overloaded(reply)

    def test_tells_that_time_ran_out(self) -> None:
        reply = recorded("search_timed_out")

        assert "ran out of time" in hits.missing_part(reply)
        assert not hits.overloaded(reply)

    def test_tells_a_wildcard_that_stands_for_nothing(self) -> None:
        reply = {"timed_out": False, "_shards": {"total": 0, "successful": 0, "skipped": 0, "failed": 0}}

        assert "no open index" in hits.missing_part(reply)

    def test_tells_busy_shards_from_broken_ones(self) -> None:
        reply = recorded("search_partly_overloaded")

        assert hits.missing_part(reply) == "2 of 3 shards did not answer (es_rejected_execution_exception)."
        assert hits.overloaded(reply)
        assert hits.total(reply) == Total(value=10000, relation="gte")


class TestBulk:
    def test_has_no_failures_where_all_is_stored(self) -> None:
        assert hits.failed_items(recorded("bulk_ok")) == []

    def test_names_every_document_that_was_refused(self) -> None:
        failed = hits.failed_items(recorded("bulk_refused"))

        assert [(each.doc_id, each.type, each.retry) for each in failed] == [
            ("bad-1", "strict_dynamic_mapping_exception", False),
            ("bad-2", "document_parsing_exception", False),
        ]
        assert "[nope]" in failed[0].reason

    @pytest.mark.parametrize(
        ("status", "kind", "retry"),
        [
            (429, "es_rejected_execution_exception", True),
            (429, "cluster_block_exception", False),
            (503, "unavailable_shards_exception", True),
            (400, "document_parsing_exception", False),
        ],
    )
    def test_tells_what_may_pass_later(self, status: int, kind: str, retry: bool) -> None:
        item = {"index": {"_id": "1", "status": status, "error": {"type": kind, "reason": "because"}}}
        failed = hits.failed_items({"errors": True, "items": [item]})

        assert [each.retry for each in failed] == [retry]


def test_term_counts_come_in_the_order_asked_for() -> None:
    counts = hits.term_counts(recorded("frequencies"), ("python", "absent", "失败"))

    assert counts.df == {"python": 2, "absent": 0, "失败": 1}
    assert counts.doc_count == 3


class TestIndices:
    def test_are_those_of_this_service_only(self) -> None:
        indices = hits.physical_indices(recorded("indices"))

        assert [(each.index, each.name, each.published, each.complete) for each in indices] == [
            (OLD, "e-rec", True, True),
            (NEW, "e-rec", False, False),
        ]

    def test_have_a_status_with_numbers(self) -> None:
        live, filling = hits.physical_indices(recorded("indices"))
        status = hits.index_status(live, recorded("stats"))

        assert (status.index, status.alias, status.documents, status.complete) == (OLD, "e-rec", 3, True)
        assert status.bytes > 0
        assert hits.index_status(filling, recorded("stats")).alias is None

    def test_without_numbers_count_nothing(self) -> None:
        (live, _) = hits.physical_indices(recorded("indices"))

        assert hits.index_status(live, {"indices": {}}).documents == 0

    def test_are_found_behind_a_name(self) -> None:
        metas = hits.mapping_metas(recorded("mapping"))

        assert metas.keys() == {OLD}
        assert metas[OLD]["analyzer"] == "abc123"
        assert hits.published_names(recorded("aliases")) == ("e-rec",)


@pytest.mark.parametrize("reply", [None, [], "<html>ok</html>", {}, {"hits": {}}, {"_shards": None, "hits": None}])
def test_an_answer_of_another_shape_is_refused(reply: Any) -> None:
    for read in (hits.ranking, hits.total, hits.missing_part, hits.took_ms, hits.failed_items, hits.count):
        with pytest.raises(BackendRejected, match="is not Elasticsearch's"):
            read(reply)


def test_counts_for_other_terms_than_asked_for_are_refused() -> None:
    with pytest.raises(BackendRejected):
        hits.term_counts(recorded("frequencies"), ("python", "absent"))
