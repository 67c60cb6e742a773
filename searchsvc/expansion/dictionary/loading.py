"""The dictionaries that the settings name, read once for all indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from searchsvc.expansion.dictionary.synonyms import read_rules
from searchsvc.expansion.dictionary.table import SynonymTable
from searchsvc.expansion.dictionary.wordnet import WordNet
from searchsvc.text import Analyzer

LEXICON = Path(__file__).with_name("it.synonyms.txt")
"""Words of information technology, Chinese and English."""
_LEXICONS: dict[str, SynonymTable] = {}
"""By fingerprint of the text analysis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictionary:
    """What is known of words, whatever the index."""

    table: SynonymTable
    wordnet: WordNet | None = None


def load_dictionary(
    files: Sequence[Path], analyzer: Analyzer, *, lexicon: bool = True, wordnet: Path | None = None
) -> Dictionary | None:
    """Synonym files, the lexicon that comes with the service unless it is not wanted, and the folder of a WordNet.

    Where a file has another sense of a word than the lexicon, the file alone counts. None if there is nothing to read.
    Raises ConfigurationError that names the file, and its line.
    """
    rules = [rule for path in files for rule in read_rules(path)]
    if not (rules or lexicon) and wordnet is None:
        return None
    if rules or not lexicon:
        table = SynonymTable(rules, analyzer, beneath=read_rules(LEXICON) if lexicon else ())
    else:
        table = _lexicon(analyzer)
    return Dictionary(table=table, wordnet=None if wordnet is None else WordNet(wordnet, analyzer))


def _lexicon(analyzer: Analyzer) -> SynonymTable:
    """The lexicon alone, analysed once in a process: it takes 50 ms, and evaluations open several runtimes."""
    known = _LEXICONS.get(analyzer.fingerprint)
    if known is None:
        known = _LEXICONS[analyzer.fingerprint] = SynonymTable((), analyzer, beneath=read_rules(LEXICON))
    return known
