from __future__ import annotations

import json
from pathlib import Path

import pytest

from searchsvc.cli import main
from searchsvc.errors import ConfigurationError
from searchsvc.settings import LoadedSettings, load_settings

ARTICLES = """
[indices.articles]
text_fields = ["title^3", "body"]
nested = ["comments"]
base_query = '''
{"match": {"body": "{{query}}"}}
'''
"""


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("searchsvc.toml")


def load(toml: Path, text: str, **environ: str) -> LoadedSettings:
    toml.write_text(text, "utf-8")
    return load_settings(toml=toml, environ=environ)


def test_a_table_declares_an_index_and_the_rest_is_at_its_defaults(toml):
    articles = load(toml, ARTICLES).settings.indices["articles"]

    assert articles.text_fields == ("title^3", "body")
    assert articles.nested == ("comments",)
    assert articles.base_query == '{"match": {"body": "{{query}}"}}\n'
    assert (articles.index, articles.id, articles.title, articles.snippet) == (None, "_id", None, None)
    assert (articles.returned, articles.filters, articles.facets, articles.rerank_text) == ((), (), (), ())
    assert articles.rerank_characters == 2000


def test_every_key_of_a_table_has_a_source(toml):
    loaded = load(toml, ARTICLES + '[indices."logs-*"]\ntext_fields = ["message"]\n')

    assert loaded.sources["indices.articles.nested"] == "searchsvc.toml"
    assert loaded.sources["indices.articles.title"] == "default"
    assert loaded.sources['indices."logs-*".text_fields'] == "searchsvc.toml"
    assert loaded.shown()["indices.articles.text_fields"] == ["title^3", "body"]
    assert "indices" not in loaded.shown()
    assert set(loaded.shown()) == set(loaded.sources)


@pytest.mark.parametrize(
    ("text", "environ", "engine", "source"),
    [
        (ARTICLES, {}, "elasticsearch", "searchsvc.toml"),
        (ARTICLES, {"SEARCHSVC_ENGINE": "embedded"}, "embedded", "environment"),
        ("engine = 'embedded'\n" + ARTICLES, {}, "embedded", "searchsvc.toml"),
        ("[indices]\n", {}, "embedded", "default"),
    ],
)
def test_tables_make_the_engine_elasticsearch_unless_somebody_set_it(toml, text, environ, engine, source):
    loaded = load(toml, text, **environ)

    assert loaded.settings.engine == engine
    assert loaded.sources["engine"] == source


def test_the_command_line_still_decides_the_engine(toml):
    toml.write_text(ARTICLES)

    loaded = load_settings(toml=toml, environ={}, overrides={"engine": "embedded"})

    assert loaded.settings.engine == "embedded"
    assert list(loaded.settings.indices) == ["articles"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "[indices.wiki]\ntext_field = ['a']",
            "searchsvc.toml, [indices.wiki]: text_field is not a setting of an index.",
            "Did you mean text_fields?",
        ),
        (
            "[indices.'logs-*']\nrerank = 1",
            'searchsvc.toml, [indices."logs-*"]: rerank is not a setting of an index.',
            "Did you mean rerank_text?",
        ),
        (
            "[indices.news.2026]\ntext_fields = ['a']",
            "searchsvc.toml, [indices.news]: 2026 is not a setting of an index.",
            'A name with a dot in it is quoted: [indices."news.2026"].',
        ),
        ("indices = 'wiki'", "searchsvc.toml: indices is no table.", "[indices.NAME]"),
        ("[[indices]]\nname = 'wiki'", "searchsvc.toml: indices is no table.", "[indices.NAME]"),
        ("[indices]\nwiki = 'wiki'", "searchsvc.toml: indices.wiki is no table of an index.", "[indices.NAME]"),
        ("[indices.'']\ntext_fields = ['a']", 'searchsvc.toml: indices."" is no table of an index.', "[indices.NAME]"),
    ],
)
def test_what_is_no_setting_of_an_index_is_an_error_that_helps(toml, text, message, hint):
    with pytest.raises(ConfigurationError) as caught:
        load(toml, text)

    assert caught.value.message == message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("text_fields = 'title'", "text_fields is 'title': a list of fields is needed"),
        ("text_fields = []", "text_fields is []: "),
        ("text_fields = ['title^x']", "text_fields is 'title^x': a boost is a number above 0"),
        ("text_fields = ['title^0']", "text_fields is 'title^0': a boost is a number above 0"),
        ("text_fields = ['title^-1']", "text_fields is 'title^-1': a boost is a number above 0"),
        ("text_fields = ['title^inf']", "text_fields is 'title^inf': a boost is a number above 0"),
        ("text_fields = ['title^nan']", "text_fields is 'title^nan': a boost is a number above 0"),
        ("text_fields = ['^3']", "text_fields is '^3': a name has at least one character"),
        ("text_fields = ['title^3', 'title']", "'title' is listed twice"),
        ("text_fields = ['title*']", "text_fields is 'title*': each field is named by its full path"),
        ("text_fields = ['a']\nfilters = ['tags', 'tags']", "'tags' is listed twice"),
        ("text_fields = ['a']\nfilters = [1]", "filters is 1: should be a valid string"),
        ("text_fields = ['a']\nfacets = ['tags^2']", "facets is 'tags^2': each field is named by its full path"),
        ("text_fields = ['a']\nrerank_characters = 0", "rerank_characters is 0: should be greater than or equal to 1"),
        ("text_fields = ['a']\nrerank_characters = 100001", "less than or equal to 100000"),
        ("text_fields = ['a']\nindex = ' '", "index is ' ': a name has at least one character"),
        ("text_fields = ['a']\ntitle = ''", "title is '': a name has at least one character"),
        ("text_fields = ['a']\nbase_query = 1", "base_query is 1: should be a valid string"),
        ("nested = ['a']", "text_fields is missing: the fields that are searched"),
    ],
)
def test_a_wrong_value_is_told_with_file_table_key_and_what_is_allowed(toml, line, told):
    with pytest.raises(ConfigurationError) as caught:
        load(toml, f'[indices."logs-*"]\n{line}')

    assert caught.value.message.startswith('searchsvc.toml, [indices."logs-*"]: ')
    assert told in caught.value.message


def test_a_long_value_is_told_in_part(toml):
    with pytest.raises(ConfigurationError) as caught:
        load(toml, f"[indices.a]\ntext_fields = ['{'x' * 5000} ']")

    assert len(caught.value.message) < 400


@pytest.mark.parametrize("name", ["SEARCHSVC_INDICES", "SEARCHSVC_INDICES__ARTICLES__TITLE"])
def test_only_the_file_may_declare_indices(toml, name):
    with pytest.raises(ConfigurationError, match=f"{name} is not a setting") as caught:
        load(toml, "", **{name: "x"})

    assert caught.value.hint == "Only searchsvc.toml may declare indices."


def test_rights_and_raw_filters_are_off_unless_asked_for(toml):
    settings = load(toml, "").settings
    set_ones = load(toml, "[elasticsearch]\nrun_as = 'caller'\n[api]\nallow_raw_filters = true").settings

    assert (settings.elasticsearch.run_as, settings.api.allow_raw_filters) == ("service", False)
    assert (set_ones.elasticsearch.run_as, set_ones.api.allow_raw_filters) == ("caller", True)


def test_show_prints_the_keys_of_every_table_on_a_line_each(toml, capsys):
    toml.write_text(ARTICLES)

    main(["config", "show"])
    lines = capsys.readouterr().out.splitlines()
    main(["config", "show", "--json"])
    shown = json.loads(capsys.readouterr().out)

    told = {line.split()[0]: line.split(None, 2)[1:] for line in lines}
    assert told["indices.articles.text_fields"] == ["searchsvc.toml", "title^3, body"]
    assert told["indices.articles.base_query"] == ["searchsvc.toml", '{"match": {"body": "{{query}}"}}']
    assert told["indices.articles.title"] == ["default", "-"]
    assert list(told) == list(shown)
    assert shown["indices.articles.nested"] == {"value": ["comments"], "source": "searchsvc.toml"}


def test_check_counts_the_tables(toml, capsys):
    toml.write_text(ARTICLES + '[indices."logs-*"]\ntext_fields = ["message"]\n')

    main(["config", "check"])
    told = capsys.readouterr().out
    main(["config", "check", "--json"])

    assert "Adopted indices: 2 (articles, logs-*)." in told
    assert json.loads(capsys.readouterr().out) == {"valid": True, "given": 1, "indices": ["articles", "logs-*"]}
