"""A small WordNet database in the format of wndb(5WN), of words and meanings made up for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

NOTICE = "  1 A notice stands before the first line, each of its lines begun by two blanks.  \n"
SYNSETS: Mapping[str, Sequence[tuple[str, ...]]] = {
    "noun": (
        ("laptop", "portable_computer"),
        ("bug", "defect", "glitch"),
        ("bug", "insect"),
        ("insect", "creepy-crawly"),
        ("Paris", "City_of_Light"),
        ("church", "kirk"),
    ),
    "verb": (("restart", "boot_again"), ("repair", "mend", "fix"), ("fix", "fasten")),
    "adj": (("quick(a)", "speedy"), ("alone",)),
    "adv": (("quickly", "speedily"),),
}
_SIGN = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}


def write_wordnet(folder: Path, synsets: Mapping[str, Sequence[tuple[str, ...]]] = SYNSETS) -> Path:
    """The eight files."""
    for pos, sign in _SIGN.items():
        data, places = NOTICE, {}
        for words in synsets.get(pos, ()):
            offset = len(data.encode())
            for word in words:
                lemma = word.partition("(")[0].lower()
                places.setdefault(lemma, []).append(offset)
            listed = " ".join(f"{word} 0" for word in words)
            data += (
                f"{offset:08} 03 {sign} {len(words):02x} {listed} 001 @ 00000000 {sign} 0000 | a meaning; made up  \n"
            )
        (folder / f"data.{pos}").write_text(data, "utf-8")
        lines = [_index_line(lemma, sign, offsets) for lemma, offsets in sorted(places.items())]
        (folder / f"index.{pos}").write_text(NOTICE + "".join(lines), "utf-8")
    return folder


def _index_line(lemma: str, sign: str, offsets: Sequence[int]) -> str:
    """lemma pos synset_cnt p_cnt [ptr_symbol...] sense_cnt tagsense_cnt synset_offset..."""
    count = len(offsets)
    return f"{lemma} {sign} {count} 2 @ ~ {count} 0 {' '.join(f'{offset:08}' for offset in offsets)}  \n"
