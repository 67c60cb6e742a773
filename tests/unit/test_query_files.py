from __future__ import annotations

import gzip

import pytest

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.queries import read_queries

WANTED = {"q1": "怎么重启 服务", "q2": 'slow, "very" slow'}
TSV = 'q1\t怎么重启 服务\nq2\tslow, "very" slow\n'
CSV = 'id,query,notes\nq1,怎么重启 服务,\nq2,"slow, ""very"" slow",x\n'
JSONL = '{"query_id": "q1", "query": "怎么重启 服务", "lang": ["zh"]}\n{"id": "q2", "text": "slow, \\"very\\" slow"}\n'
TOPICS = """<top>
<num> Number: q1
<title> 怎么重启
 服务
<desc> Description:
How to <b>restart</b>.
</top>
<top><num>q2</num><title>slow, "very" slow</title></top>
"""


def written(folder, name, content, encoding="utf-8"):
    path = folder / name
    data = content.encode(encoding) if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def problem(path):
    with pytest.raises(ConfigurationError) as caught:
        read_queries(path)
    assert str(path) in caught.value.message
    return str(caught.value)


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.tsv", TSV),
        ("q.tsv", "query_id\tquery\n" + TSV),
        ("q.tsv", "id\tquestion\n" + TSV),
        ("q.tsv", "\ufeff" + TSV.replace("\n", "\r\n\r\n")),
        ("queries", TSV),
        ("q.txt", TSV),
        ("q.csv", CSV),
        ("q.csv", "\ufeff" + CSV.replace("id,query,notes", "Query ID,Query Text,Notes").replace("\n", "\r\n")),
        ("q.jsonl", JSONL),
        ("queries", JSONL),
        ("topics.txt", TOPICS),
        ("topics", "\n" + TOPICS),
    ],
)
def test_every_format_gives_the_same_queries(tmp_path, name, content, zipped):
    queries = read_queries(written(tmp_path, name + zipped, content))

    assert queries == WANTED
    assert list(queries) == ["q1", "q2"]


def test_a_line_of_plain_text_is_a_query_and_its_number_the_id(tmp_path):
    assert read_queries(written(tmp_path, "q.txt", "one\n\n 三, 个 \n")) == {"1": "one", "3": "三, 个"}


def test_an_export_of_judgements_without_ids_names_each_query_once(tmp_path):
    export = "query,docid,rating\nred shoes,d1,3\nred shoes,d2,0\nblue shoes,d1,1\n"

    assert read_queries(written(tmp_path, "quepid.csv", export)) == {"2": "red shoes", "4": "blue shoes"}
    assert read_queries(written(tmp_path, "q.tsv", export.replace(",", "\t"))) == {"2": "red shoes", "4": "blue shoes"}


def test_a_value_of_csv_may_go_over_several_lines_and_the_lines_after_it_keep_their_numbers(tmp_path):
    path = written(tmp_path, "q.csv", 'id,text,note\n1,one,"a\nb"\n2,,x\n')

    assert "line 4: a query without text" in problem(path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("q.tsv", "q1\tone\nq1\ttwo\n", "line 2: the query id 'q1' came before. Give one of the two another id."),
        ("q.tsv", "q1\tone\nq2\t \n", "line 2: a query without text. Give it a text (column text or query)"),
        ("q.tsv", "q1\tone\n\ttwo\n", "line 2: a query without an id. Give it an id"),
        ("q.tsv", "q1\tone\nq2\ta\tb\n", "line 2: 3 columns where 2 were expected. A line is query_id, text."),
        ("q.tsv", "q1 one\n", "line 1: 1 columns where 2 were expected"),
        ("q.csv", "id,words\n1,one\n", "line 2: a query without text"),
        ("q.csv", "id,text\n1,one, two\n", "line 2: 3 columns where 2 were expected. A line is id, text."),
        ("q.csv", 'id,text\n1,one\n2,"two\n', "line 3: not CSV: unexpected end of data"),
        ("q.csv", "id,text\n1,one\n1,two\n", "line 3: the query id '1' came before"),
        ("q.csv", "id,text\n", "holds no query"),
        ("q.jsonl", '{"id": 1, "text": "one"}\n{"id": 2}\n', "line 2: a query without text"),
        ("q.jsonl", '{"id": 1, "text": ["one"]}\n', "line 1: 'text' is a list where text or a number was expected"),
        ("q.jsonl", '{"text": "one"}\n', "line 1: a query without an id"),
        ("q.jsonl", '{"id": 1, "text": "one"}\n{"id"\n', "line 2: not JSON"),
        ("topics", "<top>\n<num> 1\n<title> a\n</top>\n<top>\n<num> 2\n</top>\n", "line 5: a query without text"),
        ("topics", "<top>\n<title> a\n</top>\n", "line 1: a query without an id"),
        ("queries", "one\ntwo\n", "line 1: no known format of queries. Name the file .txt (a query a line)"),
        ("q.txt", "\n \n", "is empty"),
        ("q.txt", "", "is empty"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_next_step(tmp_path, name, content, told):
    assert told in problem(written(tmp_path, name, content))


@pytest.mark.parametrize("name", ["q.tsv", "q.csv", "q.txt"])
def test_chinese_text_in_another_encoding_is_told_with_the_command_that_mends_it(tmp_path, name):
    path = written(tmp_path, name, "id\ttext\n1\t重启\n", "gb18030")

    told = problem(path)

    assert "line 2: not UTF-8." in told
    assert f"iconv -f GB18030 -t UTF-8 {path} > utf8-{name}" in told


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_utf_16_is_recognised(tmp_path, encoding):
    path = written(tmp_path, "q q.tsv", "id\ttext\n1\t重启\n", encoding)

    told = problem(path)

    assert "line 1: not UTF-8 but UTF-16." in told
    assert f"iconv -f UTF-16 -t UTF-8 '{path}' > 'utf8-q q.tsv'" in told


def test_the_command_for_a_zipped_file_unzips_it_first(tmp_path):
    path = written(tmp_path, "q.tsv.gz", "1\t重启\n", "gb18030")

    assert f"gzip -dc {path} | iconv -f GB18030 -t UTF-8 > utf8-q.tsv" in problem(path)


def test_what_cannot_be_read_is_told(tmp_path):
    assert "cannot be read" in problem(tmp_path / "nowhere.tsv")
    assert "cannot be read" in problem(tmp_path)
