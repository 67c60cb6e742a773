from __future__ import annotations

import json

import pytest

from searchsvc.cli import main
from searchsvc.expansion.prompts import prompt_names
from searchsvc.settings import KEYS

SECRET = "s3cr3t-value"


@pytest.fixture(autouse=True)
def a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("SEARCHSVC_DATA_DIR", str(tmp_path / ("a-long-name" * 12)))
    monkeypatch.chdir(tmp_path)


def test_show_prints_every_setting_with_its_source_on_one_line(capsys, tmp_path):
    (tmp_path / "searchsvc.toml").write_text("[reranker]\nurl = 'http://r:8000'\n")

    main(["config", "show"])

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(KEYS)
    assert "reranker.url                  searchsvc.toml  http://r:8000" in lines
    assert "api.allow_anonymous           default         false" in lines
    assert lines[1].endswith("a-long-name")


def test_show_masks_secrets(capsys, monkeypatch):
    monkeypatch.setenv("SEARCHSVC_RERANKER__API_KEY", SECRET)

    main(["config", "show"])
    main(["config", "show", "--json"])

    shown = capsys.readouterr().out
    assert SECRET not in shown
    assert "reranker.api_key              environment     **********" in shown


def test_show_json_is_one_object_by_key(capsys, monkeypatch):
    monkeypatch.setenv("SEARCHSVC_API__PORT", "9000")

    main(["config", "show", "--json"])

    shown = json.loads(capsys.readouterr().out)
    assert list(shown) == list(KEYS)
    assert shown["api.port"] == {"value": 9000, "source": "environment"}
    assert shown["reranker.url"] == {"value": None, "source": "default"}


def test_check_says_that_all_is_well(capsys):
    main(["config", "check"])

    assert capsys.readouterr().out == "The settings are valid: 1 given, all others at their defaults.\n"


def test_check_exits_2_with_the_reason_on_stderr(capsys, monkeypatch):
    monkeypatch.setenv("SEARCHSVC_ENGIN", "embedded")

    with pytest.raises(SystemExit) as caught:
        main(["config", "check"])

    captured = capsys.readouterr()
    assert caught.value.code == 2
    assert captured.out == ""
    assert "SEARCHSVC_ENGIN is not a setting." in captured.err
    assert "Did you mean SEARCHSVC_ENGINE?" in captured.err


def test_check_json_tells_the_reason_on_stdout_too(capsys, tmp_path):
    (tmp_path / "searchsvc.toml").write_text("engine = 'lucene'\n")

    with pytest.raises(SystemExit) as caught:
        main(["config", "check", "--json"])

    answer = json.loads(capsys.readouterr().out)
    assert caught.value.code == 2
    assert answer["valid"] is False
    assert answer["message"].startswith("engine (searchsvc.toml) is 'lucene'")


def test_check_names_the_prompts_when_there_is_none_of_that_id(capsys, monkeypatch):
    monkeypatch.setenv("SEARCHSVC_EXPANDER__PROMPT", "no-such-prompt")

    with pytest.raises(SystemExit) as caught:
        main(["config", "check", "--json"])

    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert caught.value.code == 2
    assert answer["message"] == "expander.prompt is 'no-such-prompt', and there is no such prompt."
    assert answer["hint"] == f"There are: {', '.join(prompt_names())}."
    assert "no-such-prompt" in captured.err


def test_check_takes_every_prompt_that_there_is(capsys, monkeypatch):
    for prompt_id in prompt_names():
        monkeypatch.setenv("SEARCHSVC_EXPANDER__PROMPT", prompt_id)
        main(["config", "check"])

    assert capsys.readouterr().out.count("The settings are valid: 2 given") == len(prompt_names())


def test_check_reads_the_user_dictionary(capsys, monkeypatch, tmp_path):
    (tmp_path / "words.txt").write_text("导入\n导入 0 n\n", "utf-8")
    monkeypatch.setenv("SEARCHSVC_TEXT__USER_DICTIONARY", str(tmp_path / "words.txt"))

    with pytest.raises(SystemExit) as caught:
        main(["config", "check", "--json"])

    answer = json.loads(capsys.readouterr().out)
    assert caught.value.code == 2
    assert answer["valid"] is False
    assert answer["message"].endswith("words.txt, line 2: '导入 0 n' is no entry.")


@pytest.mark.parametrize(
    ("base_query", "said"),
    [
        ('{"match": {"title": "{{query}}"}', "is no JSON"),
        ('{"match": {"title": "x"}}', "has no {{query}}"),
        ('{"match": {"{{query}}": "x"}}', "in a key"),
    ],
)
def test_check_reads_every_base_query(capsys, tmp_path, base_query, said):
    table = f"[indices.articles]\ntext_fields = ['title']\nbase_query = '{base_query}'\n"
    (tmp_path / "searchsvc.toml").write_text(table)

    with pytest.raises(SystemExit) as caught:
        main(["config", "check"])

    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert "[indices.articles] base_query" in told
    assert said in told


def test_check_json_says_that_all_is_well(capsys):
    main(["config", "check", "--json"])

    assert json.loads(capsys.readouterr().out) == {"valid": True, "given": 1, "indices": []}
