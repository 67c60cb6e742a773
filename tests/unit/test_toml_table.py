from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.cli.toml_table import read, rendered, with_table, write
from searchsvc.errors import ConfigurationError
from searchsvc.settings import load_settings
from searchsvc.settings.declared import IndexSettings
from searchsvc.toml_names import table_key, toml_string

ORDER = list(IndexSettings.model_fields)
TABLE = {"text_fields": ["title^3", "body"], "id": "_id", "facets": [], "title": None, "rerank_characters": 900}
BLOCK = rendered("articles", TABLE, ORDER)
HAND_MADE = """# mine
engine = "elasticsearch"   # ours

[indices.articles] # old
text_fields = ["old"]
# tuned in 2024
base_query = '''
{"bool": {"must": [
[indices.nobody]
"{{query}}"
]}}
'''
filters = [
  "a",
]

# the API
[api]
port = 9000"""


def test_the_table_has_its_header_alone_on_a_line_and_leaves_out_what_is_empty():
    assert BLOCK.splitlines()[0] == "[indices.articles]"
    assert tomllib.loads(BLOCK) == {
        "indices": {"articles": {"text_fields": ["title^3", "body"], "id": "_id", "rerank_characters": 900}}
    }


def test_keys_that_need_it_have_a_comment_above_them():
    lines = BLOCK.splitlines()

    assert lines[lines.index('text_fields = ["title^3", "body"]') - 1] == "# searched; ^ weighs a field"


def test_a_long_list_has_one_item_a_line():
    fields = [f"a.long.field.name.{number}" for number in range(20)]

    block = rendered("x", {"text_fields": fields}, ORDER)

    assert max(map(len, block.splitlines())) < 60
    assert tomllib.loads(block)["indices"]["x"]["text_fields"] == fields


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("articles", "indices.articles"),
        ("logs-*", 'indices."logs-*"'),
        ("news.2026", 'indices."news.2026"'),
        ("文章", 'indices."文章"'),
        ('a"b', 'indices."a\\"b"'),
    ],
)
def test_a_name_that_is_no_bare_key_is_quoted(name, key):
    assert table_key(name) == key
    assert list(tomllib.loads(rendered(name, TABLE, ORDER))["indices"]) == [name]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_a_string_of_toml(text):
    assert tomllib.loads(f"x = {toml_string(text)}") == {"x": text}


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        ("", ""),
        ("engine = 'elasticsearch'\n", "\n"),
        ("engine = 'elasticsearch'", "\n\n"),
        ("# only a comment\n\n", "\n"),
        ("[api]\nport = 1\n", "\n"),
        ("[indices.other]\ntext_fields = ['a']\n", "\n"),
        ("[indices]\nother.text_fields = ['a']\n", "\n"),
    ],
)
def test_a_table_is_added_at_the_end_and_nothing_else_changes(text, gap):
    assert with_table(text, "articles", BLOCK, force=False) == text + gap + BLOCK


def test_line_ends_of_the_file_are_kept():
    changed = with_table("[api]\r\nport = 1\r\n", "articles", BLOCK, force=False)

    assert changed == "[api]\r\nport = 1\r\n\r\n" + BLOCK.replace("\n", "\r\n")


def test_a_table_that_is_there_is_not_replaced_unless_it_is_forced():
    with pytest.raises(ConfigurationError, match=r"\[indices\.articles\] is there already") as caught:
        with_table(HAND_MADE, "articles", BLOCK, force=False)

    assert "--force" in caught.value.hint


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_forced_only_that_table_is_replaced_and_the_query_in_it_is_kept_as_written(newline):
    text = HAND_MADE.replace("\n", newline)

    changed = with_table(text, "articles", BLOCK, force=True)

    before, _, rest = text.partition("[indices.articles] # old" + newline)
    query = rest.partition("filters")[0].partition(newline)[2]
    after = newline + rest[rest.index("# the API") :]
    assert changed == before + BLOCK.replace("\n", newline) + query + after
    assert query.startswith("# tuned in 2024")
    assert (
        tomllib.loads(changed)["indices"]["articles"]["base_query"]
        == (tomllib.loads(text)["indices"]["articles"]["base_query"])
    )


def test_forced_again_nothing_changes():
    once = with_table(HAND_MADE, "articles", BLOCK, force=True)

    assert with_table(once, "articles", BLOCK, force=True) == once


def test_forced_at_the_end_of_a_file_without_a_final_newline():
    text = "[api]\nport = 1\n[indices.'articles']\nbase_query = '{{query}}'\ntext_fields = ['a']"

    changed = with_table(text, "articles", BLOCK, force=True)

    assert changed == f"[api]\nport = 1\n{BLOCK}base_query = '{{{{query}}}}'\n"


def test_one_of_several_tables_is_replaced():
    text = "".join(f"[indices.{name}]\ntext_fields = ['{name}']\n\n" for name in ("a", "articles", "z"))

    changed = tomllib.loads(with_table(text, "articles", BLOCK, force=True))["indices"]

    assert list(changed) == ["a", "articles", "z"]
    assert changed["articles"]["text_fields"] == ["title^3", "body"]
    assert (changed["a"], changed["z"]) == ({"text_fields": ["a"]}, {"text_fields": ["z"]})


@pytest.mark.parametrize(
    ("text", "force"),
    [
        ("indices = {other = {text_fields = ['a']}}\n", False),
        ("indices = {articles = {text_fields = ['a']}}\n", True),
        ("indices.articles.text_fields = ['a']\n", True),
        ("[indices]\narticles = {text_fields = ['a']}\n", True),
    ],
)
def test_where_no_table_can_be_written_it_says_how_indices_are_to_be_written(text, force):
    with pytest.raises(ConfigurationError, match="cannot be written beside what is there") as caught:
        with_table(text, "articles", BLOCK, force=force)

    assert "[indices.NAME]" in caught.value.hint


def test_the_file_is_written_whole_and_can_be_loaded(tmp_path):
    file = tmp_path / "searchsvc.toml"

    write(file, BLOCK, lambda path: load_settings(toml=path, environ={}))

    assert load_settings(toml=file, environ={}).settings.indices["articles"].text_fields == ("title^3", "body")
    assert [path.name for path in tmp_path.iterdir()] == ["searchsvc.toml"]


def test_what_could_not_be_loaded_is_not_written(tmp_path):
    file = tmp_path / "searchsvc.toml"
    file.write_text("# mine\n")

    with pytest.raises(ConfigurationError):
        write(file, "[indices.a]\n", lambda path: load_settings(toml=path, environ={}))

    assert file.read_text() == "# mine\n"
    assert [path.name for path in tmp_path.iterdir()] == ["searchsvc.toml"]


def test_a_link_stays_a_link_and_a_mode_stays_a_mode(tmp_path):
    real, link = tmp_path / "real.toml", tmp_path / "searchsvc.toml"
    real.write_text("# mine\n")
    real.chmod(0o600)
    link.symlink_to(real)

    write(link, "# ours\n", lambda path: None)

    assert link.is_symlink()
    assert real.read_text() == "# ours\n"
    assert real.stat().st_mode & 0o777 == 0o600


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path):
    (tmp_path / "other").touch()

    write(tmp_path / "searchsvc.toml", "", lambda path: None)

    assert (tmp_path / "searchsvc.toml").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("folder", ["missing", "/proc"])
def test_a_folder_that_takes_no_file_is_told(tmp_path, folder):
    with pytest.raises(ConfigurationError, match="cannot be written") as caught:
        write(tmp_path / folder / "searchsvc.toml", "", lambda path: None)

    assert "folder that you may write to" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_told(tmp_path):
    tmp_path.chmod(0o500)

    with pytest.raises(ConfigurationError, match="cannot be written: Permission denied"):
        write(tmp_path / "searchsvc.toml", "", lambda path: None)


@pytest.mark.parametrize("content", [b"engine =", b"\xff", b"\xef\xbb\xbfengine = 'embedded'"])
def test_a_file_that_is_not_toml_is_refused_and_left(tmp_path: Path, content: bytes):
    file = tmp_path / "searchsvc.toml"
    file.write_bytes(content)

    with pytest.raises(ConfigurationError, match="is not TOML"):
        read(file)

    assert file.read_bytes() == content


def test_without_a_file_there_is_no_text(tmp_path):
    assert read(tmp_path / "searchsvc.toml") == ""
