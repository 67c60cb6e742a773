"""Speed of text analysis: `python -m benchmarks.analysis PATH`, a collection folder or a text file.

Prints, in CPU time of one core: MB of UTF-8 a second through `Analyzer.terms` for each segmenter that is installed,
and microseconds a call of `snippet` on texts cut at 500 characters, for queries of 20 characters out of each text.
The best of three rounds counts.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from time import process_time

from searchsvc.documents import Document, read_documents
from searchsvc.errors import SearchError
from searchsvc.text import Analyzer, snippet

SNIPPET_TEXT = 500
SNIPPET_QUERY = 20
SNIPPETS = 2_000
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="a folder with corpus.jsonl or corpus.jsonl.gz, or a text file")
    path = parser.parse_args().path
    try:
        texts = load(path)
    except (SearchError, OSError, UnicodeDecodeError) as error:
        parser.error(f"{path} cannot be read: {error}")
    if not texts:
        parser.error(f"{path} holds no text: neither a text file with lines nor a folder with corpus.jsonl[.gz].")
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts)} texts, {megabytes:.2f} MB")
    for segmenter in ("jieba", "rjieba"):
        if importlib.util.find_spec(segmenter) is None:
            print(f"{segmenter}: not installed")
            continue
        analyzer = Analyzer(segmenter=segmenter)
        seconds = best(lambda analyzer=analyzer: [analyzer.terms(text) for text in texts])
        print(f"{segmenter}: {megabytes / seconds:.2f} MB/s")
    calls = [(text, analyzer.terms(query_of(text))) for text in texts[:SNIPPETS]]
    seconds = best(lambda: [snippet(text[:SNIPPET_TEXT], terms) for text, terms in calls])
    print(f"snippet: {seconds / len(calls) * 1e6:.0f} µs a text of {SNIPPET_TEXT} characters")


def load(path: Path) -> list[str]:
    if path.is_file():
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    found = [each for each in (path / "corpus.jsonl", path / "corpus.jsonl.gz") if each.is_file()]
    documents = (item for corpus in found[:1] for item in read_documents(corpus) if isinstance(item, Document))
    return [f"{document.title}\n{document.text}" for document in documents]


def query_of(text: str) -> str:
    middle = min(len(text), SNIPPET_TEXT) // 2
    return text[middle : middle + SNIPPET_QUERY]


def best(work: Callable[[], object]) -> float:
    return min(timed(work) for _ in range(ROUNDS))


def timed(work: Callable[[], object]) -> float:
    start = process_time()
    work()
    return process_time() - start


if __name__ == "__main__":
    main()
