from __future__ import annotations

import gzip

import pytest

from searchsvc.errors import BackendTimeout, ConfigurationError
from searchsvc.evaluation.absent import BATCH, absent_judgements
from searchsvc.evaluation.qrels import read_qrels
from searchsvc.evaluation.runner import VariantRun
from searchsvc.evaluation.variants import parse_variant

QUERIES = {"q1": "red shoes", "q2": "蓝色 鞋", "q3": "never judged"}
WANTED = {"q1": {"d1": 3, "d2": 0}, "q2": {"d1": 1}}
TSV = "q1\td1\t3\nq1\td2\t0\nq2\td1\t1\n"
CSV = "query_id,doc_id,grade\n" + TSV.replace("\t", ",")
QUEPID = "query,docid,rating\nred shoes,d1,3\nred shoes,d2,0.0\n蓝色 鞋,d1,1\n"
GENERAL = "Team Name,Case ID,Query Text,Doc ID,Title,Rating\n" + "".join(
    f"t,7,{query},{doc_id},x,{grade}\n" for query, doc_id, grade in (("red shoes", "d1", 3), ("red shoes", "d2", 0))
)
JSONL = (
    '{"query_id": "q1", "doc_id": "d1", "grade": 3}\n'
    '{"query_id": "q1", "doc_id": "d2", "grade": 0.0}\n'
    '{"query_id": "q2", "doc_id": "d1", "grade": "1"}\n'
)
TREC = "q1 0 d1 3\nq1 0 d2 0\nq2  Q0  d1  1\n"


def written(folder, name, content):
    path = folder / name
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    return path


def read(folder, name, content, queries=QUERIES):
    return read_qrels(written(folder, name, content), queries)


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.tsv", TSV),
        ("r.tsv", "query-id\tdoc-id\tgrade\n" + TSV),
        ("r.tsv", "query-id\tcorpus-id\tscore\n" + TSV),
        ("r.tsv", "topic\tthing\tworth\n" + TSV),
        ("r.tsv", "doc_id\tgrade\tquery_id\nd1\t3\tq1\nd2\t0\tq1\nd1\t1\tq2\n"),
        ("r.tsv", TSV.replace("\n", "\thuman\n")),
        ("r.csv", CSV),
        ("r.csv", QUEPID),
        ("r.jsonl", JSONL),
        ("judgements", JSONL),
        ("r.qrels", TREC),
        ("r.txt", TREC),
        ("r.tsv", TREC.replace("  ", " ").replace(" ", "\t")),
    ],
)
def test_every_format_gives_the_same_judgements(tmp_path, name, content, zipped):
    found = read(tmp_path, name + zipped, content)

    assert found.grades == WANTED
    assert (found.repeated, found.ungraded, found.unknown) == (0, 0, None)
    assert sum(found.sources.values()) == 3


def test_the_general_export_of_quepid_is_judged_by_the_text_of_the_query(tmp_path):
    assert read(tmp_path, "r.csv", GENERAL).grades == {"q1": WANTED["q1"]}


def test_a_text_that_several_queries_have_judges_all_of_them(tmp_path):
    found = read(tmp_path, "r.csv", QUEPID, {"a": "red shoes", "b": "red shoes "})

    assert found.grades == {"a": WANTED["q1"], "b": WANTED["q1"]}
    assert found.repeated == 0


def test_where_a_column_query_holds_ids_they_are_taken_as_ids(tmp_path):
    assert read(tmp_path, "r.tsv", "query\tdoc\tgrade\n" + TSV).grades == WANTED


def test_unknown_queries_are_counted_and_told_with_the_first_line(tmp_path):
    found = read(tmp_path, "r.tsv", TSV + "q8\td1\t1\nq9\td1\t1\nq9\td2\t1\n")

    assert found.grades == WANTED
    assert (found.unknown.judgements, found.unknown.queries) == (3, 2)
    assert (found.unknown.first_line, found.unknown.first) == (4, "q8")


def test_a_text_that_no_query_has_is_unknown(tmp_path):
    found = read(tmp_path, "r.csv", QUEPID, {"q1": "red shoes"})

    assert (found.unknown.first_line, found.unknown.first) == (4, "蓝色 鞋")


def test_of_several_judgements_the_last_counts_but_a_persons_before_a_models(tmp_path):
    lines = (
        ("q1", "d1", 1, "human", ""),
        ("q1", "d1", 3, "llm:m rubric r", ""),
        ("q1", "d2", 1, "llm:m rubric r", ""),
        ("q1", "d2", 2, "human", ""),
        ("q2", "d1", 1, "llm:m rubric r", ""),
        ("q2", "d1", 0, "llm:n rubric r", ""),
    )
    text = "query_id\tdoc_id\tgrade\tsource\tjudged_at\n" + "".join("\t".join(map(str, line)) + "\n" for line in lines)

    found = read(tmp_path, "r.tsv", text)

    assert found.grades == {"q1": {"d1": 1, "d2": 2}, "q2": {"d1": 0}}
    assert found.lines == {("q1", "d1"): 2, ("q1", "d2"): 5, ("q2", "d1"): 7}
    assert found.repeated == 3
    assert found.sources == {"human": 2, "llm:n rubric r": 1}


def test_a_record_without_a_grade_is_counted_and_left_out(tmp_path):
    found = read(tmp_path, "r.csv", QUEPID + "red shoes,d9,\n")

    assert found.grades == WANTED
    assert found.ungraded == 1


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("r.tsv", "q1\td1\t3\nq1\td2\n", "line 2: 2 columns where 3 were expected. A line is query_id, doc_id, grade."),
        ("r.tsv", "q1\td1\thigh\n", "line 1: the grade 'high' is not an integer. Grades are whole numbers"),
        ("r.tsv", "q1\td1\t1.5\n", "line 1: the grade '1.5' is not an integer"),
        ("r.tsv", "q1\td1\t99999999999\n", "line 1: the grade '99999999999' is not an integer"),
        ("r.tsv", "q1\t\t1\n", "line 1: a judgement without a document (doc_id)"),
        ("r.csv", "query,docid\nred shoes,d1\n", "line 2: a judgement without a grade. Its column or key is grade"),
        ("r.csv", "docid,rating\nd1,1\n", "line 2: a judgement without a query (query_id, or query)"),
        ("r.jsonl", '{"query_id": "q1", "doc_id": "d", "grade": true}\n', "line 1: 'grade' is a bool where"),
        ("r.jsonl", '{"query_id": "q1", "grade": 1}\n', "line 1: a judgement without a document"),
        ("r.qrels", "q1 0 d1 1\nq1 0 d2\n", "line 2: 3 columns where 4 were expected. A TREC line is"),
        ("r.qrels", "q1 d1 1\n", "line 1: no known format of judgements. A line is query id, doc_id and grade"),
        ("r.tsv", "", "is empty"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_next_step(tmp_path, name, content, told):
    path = written(tmp_path, name, content)

    with pytest.raises(ConfigurationError) as caught:
        read_qrels(path, QUERIES)

    assert str(path) in caught.value.message
    assert told in str(caught.value)


async def looked_up(folder, content, ranked, lookup):
    steps = []
    qrels = read(folder, "r.tsv", content)
    runs = [VariantRun(variant=parse_variant("v:"), rankings={"q1": ranked}, took_ms={}, missed={}, tokens={})]
    return await absent_judgements(qrels, runs, lookup, lambda *step: steps.append(step)), steps


async def test_only_judged_documents_that_are_in_no_ranking_are_looked_up_in_batches(tmp_path):
    asked = []

    async def lookup(doc_ids):
        asked.append(doc_ids)
        return {"d0001"}

    lines = "".join(f"q1\td{number:04}\t{number % 2}\n" for number in range(BATCH + 2))
    absent, steps = await looked_up(tmp_path, lines, ("d0000",), lookup)

    assert [len(doc_ids) for doc_ids in asked] == [BATCH, 1]
    assert asked[0][0] == "d0001"
    assert steps == [(BATCH, BATCH + 1), (BATCH + 1, BATCH + 1)]
    assert (absent.unranked, absent.judgements, absent.relevant) == (BATCH + 1, BATCH, BATCH // 2)
    assert (absent.first_line, absent.first, absent.problem) == (3, "d0002", "")


async def test_where_the_index_cannot_be_asked_only_what_no_ranking_holds_is_known(tmp_path):
    async def lookup(doc_ids):
        raise BackendTimeout("no answer")

    absent, _ = await looked_up(tmp_path, TSV, ("d1",), lookup)

    assert (absent.unranked, absent.judgements, absent.first_line, absent.problem) == (1, 0, None, "no answer")
