"""WordNet's files: what is read of them, and what is said of damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchsvc.errors import ConfigurationError
from searchsvc.expansion.dictionary.wordnet import WordNet
from searchsvc.expansion.dictionary.words import keyed_words
from tests.support.analyzers import analyzer
from tests.support.wordnet import SYNSETS, write_wordnet

DEBIAN = Path("/usr/share/wordnet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_wordnet(tmp_path)


def found(folder: Path, text: str) -> dict[str, list[tuple[str, bool]]]:
    matches = WordNet(folder, analyzer()).find(keyed_words(text, analyzer()))
    return {match.text: [(each.text, each.doubtful) for each in match.alternatives] for match in matches}


def test_words_of_the_same_synonym_set_are_alternatives(folder: Path) -> None:
    assert found(folder, "my laptop is broken") == {"laptop": [("portable computer", False)]}
    assert found(folder, "repair") == {"repair": [("fix", True), ("mend", False)]}  # `fix` has two meanings


def test_a_word_of_several_sets_is_doubtful_altogether(folder: Path) -> None:
    assert found(folder, "bug") == {"bug": [("defect", True), ("glitch", True), ("insect", True)]}


def test_several_words_are_one_lemma_where_wordnet_has_them(folder: Path) -> None:
    assert found(folder, "my portable computer") == {"portable computer": [("laptop", False)]}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Laptops", "portable computer"),
        ("churches", "kirk"),
        ("portable computers", "laptop"),
        ("repaired", "mend"),
        ("repairing", "mend"),
        ("quicker", "speedy"),
        ("quickly", "speedily"),
        ("PARIS", "city of light"),
    ],
)
def test_inflected_words_are_led_back_to_their_base(folder: Path, text: str, wanted: str) -> None:
    assert wanted in [each for alternatives in found(folder, text).values() for each, _ in alternatives]


def test_a_word_alone_in_its_set_and_words_of_other_scripts_bring_nothing(folder: Path) -> None:
    assert found(folder, "alone 笔记本 something") == {}


def test_an_alternative_names_wordnet(folder: Path) -> None:
    [match] = WordNet(folder, analyzer()).find(keyed_words("laptop", analyzer()))

    assert [(each.place, [word.term for word in each.words]) for each in match.alternatives] == [
        ("WordNet", ["portabl", "comput"])
    ]
    assert (match.start, match.length, match.mass) == (0, 1, 1)


def test_a_word_with_very_many_sets_is_doubtful_and_few_of_them_are_read(tmp_path: Path) -> None:
    sets = tuple(("run", f"sense{number}") for number in range(30))
    alternatives = found(write_wordnet(tmp_path, {"noun": sets}), "run")["run"]

    assert alternatives == [(f"sense{number}", True) for number in range(8)]


def test_a_folder_without_the_files_names_those_that_are_missing(tmp_path: Path) -> None:
    write_wordnet(tmp_path)
    (tmp_path / "data.verb").unlink()

    with pytest.raises(ConfigurationError, match=r"data\.verb is missing.*expander\.wordnet"):
        WordNet(tmp_path, analyzer())


def test_nothing_is_read_before_the_first_look_up(folder: Path) -> None:
    wordnet = WordNet(folder, analyzer())
    (folder / "index.verb").write_text("no index line\n")

    with pytest.raises(ConfigurationError):
        wordnet.load()


@pytest.mark.parametrize(
    "line",
    [
        "laptop",
        "laptop n one 0 1 0 00000000",
        "laptop n 1 2 @ ~ 1 0 0000",
        "laptop n 2 2 @ ~ 2 0 00000042",
        "laptop x 1 0 1 0 00000042",
        "\ufffd\0",
    ],
)
def test_a_damaged_index_is_named_with_its_line(folder: Path, line: str) -> None:
    with (folder / "index.adv").open("a", encoding="utf-8") as index:
        index.write(f"{line}\n")

    with pytest.raises(ConfigurationError, match=r"index\.adv is damaged, line 4\. Install"):
        found(folder, "laptop")


def test_an_index_without_a_lemma_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="it has no lemma"):
        found(write_wordnet(tmp_path, {}), "laptop")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("03 n 02 laptop", "03 n zz laptop"),
        ("03 n 02 laptop", "03 n 40 laptop"),
        ("03 n 02 laptop 0 portable_computer 0 001 @ 00000000 n 0000 | a meaning; made up  \n", "03 n 02 laptop"),
        ("  1 A notice", "  1 Another notice"),
    ],
)
def test_a_damaged_synonym_set_is_named_with_its_byte(folder: Path, before: str, after: str) -> None:
    data = folder / "data.noun"
    text = data.read_text("utf-8")
    offset = text.index("\n") + 1
    assert before in text
    data.write_text(text.replace(before, after, 1)[: None if after.endswith("notice") else offset + 40], "utf-8")

    with pytest.raises(ConfigurationError, match=rf"data\.noun is damaged, byte {offset}: .* Install"):
        found(folder, "laptop")


def test_a_file_that_goes_away_is_named(folder: Path) -> None:
    wordnet = WordNet(folder, analyzer())
    wordnet.load()
    (folder / "data.noun").unlink()

    with pytest.raises(ConfigurationError, match=r"data\.noun cannot be read"):
        wordnet.find(keyed_words("laptop", analyzer()))


def test_lemmas_that_nobody_else_shares_are_all_found(folder: Path) -> None:
    for sets in SYNSETS.values():
        for words in sets:
            spoken = words[0].partition("(")[0].replace("_", " ")
            assert (spoken.lower() in {text.lower() for text in found(folder, spoken)}) == (len(words) > 1)


@pytest.mark.skipif(not (DEBIAN / "index.noun").exists(), reason="needs Debian's package wordnet-base")
def test_debians_database_can_be_read() -> None:
    assert found(DEBIAN, "laptop") == {"laptop": [("laptop computer", False)]}
    assert {text for text, doubtful in found(DEBIAN, "car")["car"] if doubtful} >= {"automobile", "gondola"}
