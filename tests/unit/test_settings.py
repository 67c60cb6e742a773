from __future__ import annotations

from pathlib import Path

import pytest

from searchsvc.errors import ConfigurationError
from searchsvc.settings import KEYS, LoadedSettings, Settings, environment_name, load_settings

SECRET = "s3cr3t-value"


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "searchsvc.toml"


def load(toml: Path, **environ: str) -> LoadedSettings:
    return load_settings(toml=toml, environ=environ)


def test_without_any_source_every_value_is_a_default(toml):
    loaded = load(toml)

    assert loaded.settings.engine == "embedded"
    assert loaded.settings.elasticsearch.hosts == ("http://127.0.0.1:9200",)
    assert loaded.settings.reranker.url is None
    assert set(loaded.sources) == set(KEYS)
    assert set(loaded.sources.values()) == {"default"}


def test_a_later_source_wins_and_is_named(toml):
    toml.write_text("engine = 'elasticsearch'\n[api]\nport = 1\n[reranker]\nmodel = 'm'\ntemplate = 'client'\n")
    environ = {"SEARCHSVC_API__PORT": "2", "SEARCHSVC_RERANKER__TEMPLATE": "server", "SEARCHSVC_DATA_DIR": "/data"}

    loaded = load_settings(toml=toml, environ=environ, overrides={"api.port": 3, "api.host": None})

    assert loaded.settings.api.port == 3
    assert loaded.settings.reranker.template == "server"
    assert loaded.settings.reranker.model == "m"
    assert loaded.settings.data_dir == Path("/data")
    told = {key: source for key, source in loaded.sources.items() if source != "default"}
    assert told == {
        "engine": "searchsvc.toml",
        "reranker.model": "searchsvc.toml",
        "reranker.template": "environment",
        "data_dir": "environment",
        "api.port": "command line",
    }


def test_the_process_environment_is_not_read_behind_the_callers_back(toml, monkeypatch):
    monkeypatch.setenv("SEARCHSVC_ENGINE", "elasticsearch")

    assert load(toml).settings.engine == "embedded"
    assert Settings().engine == "embedded"


def test_the_process_environment_is_the_default_environment(toml, monkeypatch):
    monkeypatch.setenv("SEARCHSVC_ENGINE", "elasticsearch")

    assert load_settings(toml=toml).settings.engine == "elasticsearch"


def test_an_empty_variable_is_not_set(toml):
    loaded = load(toml, SEARCHSVC_RERANKER__URL="")

    assert loaded.settings.reranker.url is None
    assert loaded.sources["reranker.url"] == "default"


def test_names_of_variables_follow_from_keys():
    assert environment_name("elasticsearch.ca_certs") == "SEARCHSVC_ELASTICSEARCH__CA_CERTS"
    assert environment_name("data_dir") == "SEARCHSVC_DATA_DIR"


def test_every_setting_can_be_set_by_its_variable(toml, tmp_path):
    file = tmp_path / "words.txt"
    file.touch()
    environ = {
        "SEARCHSVC_ENGINE": "elasticsearch",
        "SEARCHSVC_DATA_DIR": str(tmp_path),
        "SEARCHSVC_ELASTICSEARCH__URL": "https://a:9200, https://b:9200/",
        "SEARCHSVC_ELASTICSEARCH__USERNAME": "u",
        "SEARCHSVC_ELASTICSEARCH__PASSWORD": SECRET,
        "SEARCHSVC_ELASTICSEARCH__CA_CERTS": str(file),
        "SEARCHSVC_RERANKER__URL": "http://r:1/",
        "SEARCHSVC_RERANKER__MODEL": "m",
        "SEARCHSVC_RERANKER__API_KEY": SECRET,
        "SEARCHSVC_RERANKER__INSTRUCTION": "find",
        "SEARCHSVC_RERANKER__TEMPLATE": "server",
        "SEARCHSVC_RERANKER__MAX_TOKENS_PER_DOC": "100",
        "SEARCHSVC_EXPANDER__URL": "https://e/v1",
        "SEARCHSVC_EXPANDER__MODEL": "m",
        "SEARCHSVC_EXPANDER__API_KEY": SECRET,
        "SEARCHSVC_EXPANDER__PROMPT": "p",
        "SEARCHSVC_EXPANDER__DICTIONARIES": f"{file}, {file}",
        "SEARCHSVC_EXPANDER__LEXICON": "false",
        "SEARCHSVC_EXPANDER__WORDNET": str(tmp_path),
        "SEARCHSVC_EXPANDER__PROVIDER": "dashscope",
        "SEARCHSVC_EXPANDER__EXTERNAL": "forbid",
        "SEARCHSVC_EXPANDER__TIMEOUT_MS": "9000",
        "SEARCHSVC_EXPANDER__CONCURRENCY": "2",
        "SEARCHSVC_EXPANDER__CACHE": "sqlite",
        "SEARCHSVC_EXPANDER__CACHE_DAYS": "0.5",
        "SEARCHSVC_EXPANDER__WARM_UP": str(file),
        "SEARCHSVC_EXPANDER__WARM_UP_RPM": "6",
        "SEARCHSVC_EXPANDER__POLICY": str(file),
        "SEARCHSVC_TEXT__USER_DICTIONARY": str(file),
        "SEARCHSVC_STATE__STORE": "sqlite",
        "SEARCHSVC_API__HOST": "0.0.0.0",
        "SEARCHSVC_API__PORT": "0",
        "SEARCHSVC_API__ALLOW_ANONYMOUS": "true",
        "SEARCHSVC_API__ALLOW_RAW_FILTERS": "true",
        "SEARCHSVC_ELASTICSEARCH__RUN_AS": "caller",
    }

    loaded = load(toml, **environ)

    assert {environment_name(key) for key in KEYS} - set(environ) == {"SEARCHSVC_ELASTICSEARCH__API_KEY"}
    assert [key for key, source in loaded.sources.items() if source == "default"] == ["elasticsearch.api_key"]
    assert loaded.settings.elasticsearch.hosts == ("https://a:9200", "https://b:9200")
    assert loaded.settings.reranker.url == "http://r:1"
    assert loaded.settings.api.allow_anonymous is True


def test_state_on_elasticsearch_needs_that_engine(toml):
    toml.write_text("[state]\nstore = 'elasticsearch'\n")

    assert load(toml, SEARCHSVC_ENGINE="elasticsearch").settings.state.store == "elasticsearch"
    with pytest.raises(ConfigurationError, match="state: store is elasticsearch, but the engine is embedded"):
        load(toml)


def test_there_are_at_most_40_settings_in_six_groups():
    groups = [field.annotation for field in Settings.model_fields.values() if hasattr(field.annotation, "model_fields")]

    assert len(KEYS) <= 40
    assert len(groups) == 6


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("SEARCHSVC_ENGIN", "Did you mean SEARCHSVC_ENGINE?"),
        ("SEARCHSVC_RERANKER_URL", "Did you mean SEARCHSVC_RERANKER__URL?"),
        ("SEARCHSVC_ELASTICSEARCH__USER", "Did you mean SEARCHSVC_ELASTICSEARCH__USERNAME?"),
        ("SEARCHSVC_RERANKER", "Did you mean SEARCHSVC_RERANKER__"),
        ("searchsvc_enginee", "Did you mean SEARCHSVC_ENGINE?"),
    ],
)
def test_an_unknown_variable_is_an_error_that_suggests_the_right_one(toml, name, suggestion):
    with pytest.raises(ConfigurationError, match=f"{name.upper()} is not a setting") as caught:
        load(toml, **{name: "x"})

    assert caught.value.hint.startswith(suggestion)


def test_variables_of_tests_and_clients_are_left_alone(toml):
    loaded = load(toml, SEARCHSVC_TEST_ES_URL="http://x", SEARCHSVC_API_KEY="k", OTHER="y")

    assert set(loaded.sources.values()) == {"default"}


@pytest.mark.parametrize(
    ("text", "key", "suggestion"),
    [
        ("enginee = 'embedded'", "enginee", "Did you mean engine?"),
        ("[reranker]\nurll = 'http://a'", "reranker.urll", "Did you mean reranker.url?"),
        ("elasticsearch = 'http://a'", "elasticsearch", "Did you mean elasticsearch.url?"),
        ("[unknown]", "unknown", "There are: "),
    ],
)
def test_an_unknown_key_of_the_file_is_an_error_that_suggests_the_right_one(toml, text, key, suggestion):
    toml.write_text(text)

    with pytest.raises(ConfigurationError) as caught:
        load(toml)

    assert caught.value.message == f"{toml}: {key} is not a setting."
    assert caught.value.hint.startswith(suggestion)


def test_a_file_that_is_not_toml_is_named_with_the_line(toml):
    toml.write_text("engine = 'embedded'\nport =\n")

    with pytest.raises(ConfigurationError, match=r"searchsvc\.toml is not TOML: .*line 2"):
        load(toml)


def test_a_file_that_is_not_utf8_is_named(toml):
    toml.write_bytes(b"engine = '\xff'")

    with pytest.raises(ConfigurationError, match=r"searchsvc\.toml is not TOML"):
        load(toml)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("SEARCHSVC_ENGINE", "lucene", "should be 'embedded' or 'elasticsearch'"),
        ("SEARCHSVC_API__PORT", "65536", "less than or equal to 65535"),
        ("SEARCHSVC_API__ALLOW_ANONYMOUS", "perhaps", "valid boolean"),
        ("SEARCHSVC_RERANKER__URL", "r:8000", "http://HOST:PORT"),
        ("SEARCHSVC_RERANKER__TEMPLATE", "both", "'auto', 'server' or 'client'"),
        ("SEARCHSVC_RERANKER__MAX_TOKENS_PER_DOC", "0", "greater than or equal to 1"),
        ("SEARCHSVC_ELASTICSEARCH__URL", "http://a:1,b", "http://HOST:PORT"),
        ("SEARCHSVC_ELASTICSEARCH__URL", " , ", "at least one address"),
        ("SEARCHSVC_ELASTICSEARCH__URL", "http://a:99999", "Port out of range"),
        ("SEARCHSVC_TEXT__USER_DICTIONARY", "/no/such/file", "does not point to a file"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(toml, name, value, allowed):
    with pytest.raises(ConfigurationError) as caught:
        load(toml, **{name: value})

    assert f"{name} (environment) is {value!r}: " in caught.value.message
    assert allowed in caught.value.message


def test_every_wrong_value_is_told_at_once(toml):
    toml.write_text("engine = 'x'\n[api]\nport = 'y'\n")

    with pytest.raises(ConfigurationError) as caught:
        load(toml)

    assert "engine (searchsvc.toml) is 'x'" in caught.value.message
    assert "api.port (searchsvc.toml) is 'y'" in caught.value.message


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"ELASTICSEARCH__USERNAME": "u"}, "username and password belong together"),
        ({"ELASTICSEARCH__PASSWORD": SECRET}, "username and password belong together"),
        (
            {"ELASTICSEARCH__API_KEY": SECRET, "ELASTICSEARCH__USERNAME": "u", "ELASTICSEARCH__PASSWORD": SECRET},
            "two ways to authenticate",
        ),
        ({"ELASTICSEARCH__URL": f"https://u:{SECRET}@host:9200"}, "never part of an address"),
        ({"RERANKER__URL": f"https://{SECRET}@host"}, "never part of an address"),
        ({"ELASTICSEARCH__CA_CERTS": __file__}, "has an address that is not https"),
        ({"API__HOST": "0.0.0.0"}, "SEARCHSVC_API__ALLOW_ANONYMOUS=true"),
        ({"API__HOST": "search.example.org"}, "SEARCHSVC_API__ALLOW_ANONYMOUS=true"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence_without_secrets(toml, environ, sentence):
    with pytest.raises(ConfigurationError) as caught:
        load(toml, **{f"SEARCHSVC_{name}": value for name, value in environ.items()})

    assert sentence in caught.value.message
    assert SECRET not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_permission(toml, host):
    assert load(toml, SEARCHSVC_API__HOST=host).settings.api.host == host


def test_a_secret_of_the_wrong_type_is_not_told(toml):
    toml.write_text(f"[reranker.api_key]\nvalue = '{SECRET}'\n")

    with pytest.raises(ConfigurationError, match=r"reranker\.api_key \(searchsvc\.toml\) is \*+: ") as caught:
        load(toml)

    assert SECRET not in str(caught.value)


def test_secrets_are_masked_wherever_settings_are_shown(toml):
    loaded = load(toml, SEARCHSVC_ELASTICSEARCH__API_KEY=SECRET, SEARCHSVC_EXPANDER__API_KEY=SECRET)

    assert SECRET not in repr(loaded) + str(loaded.settings) + str(loaded.shown()) + loaded.settings.model_dump_json()
    assert loaded.shown()["expander.api_key"] == "**********"
    assert loaded.shown()["reranker.api_key"] is None
    assert loaded.settings.expander.api_key.get_secret_value() == SECRET


def test_settings_are_frozen(toml):
    settings = load(toml).settings

    with pytest.raises(ValueError, match="frozen"):
        settings.engine = "elasticsearch"
    with pytest.raises(ValueError, match="frozen"):
        settings.api.port = 1


def test_a_home_folder_in_a_path_is_expanded(toml, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    toml.write_text("data_dir = '~/index'")

    assert load(toml).settings.data_dir == tmp_path / "index"


@pytest.mark.parametrize("name", ["DATA_DIR", "ELASTICSEARCH__CA_CERTS", "TEXT__USER_DICTIONARY"])
def test_a_home_folder_of_nobody_is_a_wrong_value(toml, name):
    with pytest.raises(
        ConfigurationError, match=f"SEARCHSVC_{name} \\(environment\\) is '~nosuch/x': there is no home"
    ):
        load(toml, **{f"SEARCHSVC_{name}": "~nosuch/x"})


@pytest.mark.parametrize("group", ["ELASTICSEARCH", "RERANKER", "EXPANDER"])
@pytest.mark.parametrize("key", [f"{SECRET}\nX: y", f"{SECRET}ключ", f"{SECRET}\x7f", f"\x01{SECRET}"])
def test_a_key_that_cannot_be_sent_is_named_and_never_told(toml, group, key):
    with pytest.raises(
        ConfigurationError, match=rf"SEARCHSVC_{group}__API_KEY \(environment\) is \*+: .*ASCII"
    ) as caught:
        load(toml, **{f"SEARCHSVC_{group}__API_KEY": key})

    assert SECRET not in repr(caught.value) + str(caught.value)


def test_white_space_around_a_secret_is_no_part_of_it(toml):
    toml.write_text(f"[reranker]\napi_key = ' {SECRET}\\n'\n".replace("'", '"'))
    loaded = load(
        toml,
        SEARCHSVC_ELASTICSEARCH__USERNAME="u",
        SEARCHSVC_ELASTICSEARCH__PASSWORD=f"{SECRET} ключ\r\n",
        SEARCHSVC_EXPANDER__API_KEY=" \n",
    ).settings

    assert loaded.reranker.api_key.get_secret_value() == SECRET
    assert loaded.elasticsearch.password.get_secret_value() == f"{SECRET} ключ"
    assert loaded.expander.api_key is None


def test_the_data_folder_follows_the_users_convention(toml, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    assert load(toml).settings.data_dir == tmp_path / "searchsvc"
