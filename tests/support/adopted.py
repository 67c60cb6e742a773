"""An index such as people have before they know of this service: Chinese and English, nested comments, three shards."""

from __future__ import annotations

import random
from typing import Any

from searchsvc.elastic.client import connect
from tests.support.elastic import CHINESE, ENGLISH

ARTICLES_MAPPING: dict[str, Any] = {
    "properties": {
        "title": {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}},
        "body": {"type": "text", "analyzer": "standard"},
        "comments": {
            "type": "nested",
            "properties": {
                "author": {"type": "keyword"},
                "text": {"type": "text"},
                "stars": {"type": "integer"},
            },
        },
        "tags": {"type": "keyword"},
        "lang": {"type": "keyword"},
        "url": {"type": "keyword"},
        "published_at": {"type": "date"},
        "price": {"type": "float"},
        "popularity": {"type": "float"},
        "visible_to": {"type": "keyword"},
    }
}
"""The analyser of every text field is `standard`, which makes one token of each Chinese character."""

AUTHORS = ("ada", "grace", "linus", "wei", "yan")


def articles(count: int, *, seed: int = 1) -> dict[str, dict[str, Any]]:
    """Documents by `_id`, `a-00000` and up: odd ones Chinese (words without spaces), even ones English.

    Words are spread as in natural language: the first of tests.support.elastic.CHINESE and ENGLISH are frequent, the
    last rare. Every fourth document has no url, every third no comments; two of three are visible to `everyone`, the
    others to `staff` alone.
    """
    chance = random.Random(seed)
    return {f"a-{number:05d}": _article(number, chance) for number in range(count)}


def _article(number: int, chance: random.Random) -> dict[str, Any]:
    chinese = number % 2 == 1
    article: dict[str, Any] = {
        "title": _text(chance, 3, chinese=chinese),
        "body": "".join(
            _text(chance, chance.randint(4, 12), chinese=chinese) + ("。" if chinese else ". ")
            for _ in range(chance.randint(1, 5))
        ).strip(),
        "tags": sorted({f"tag-{number % 10}", f"tag-{number % 7}"}),
        "lang": "zh" if chinese else "en",
        "published_at": f"2026-{number % 12 + 1:02d}-{number % 28 + 1:02d}T12:00:00Z",
        "price": round(chance.uniform(0, 100), 2),
        "popularity": round(chance.paretovariate(1.5), 3),
        "visible_to": ["staff"] if number % 3 == 2 else ["everyone", "staff"],
    }
    if number % 4:
        article["url"] = f"https://kb.example/{number}"
    if number % 3:
        article["comments"] = [
            {
                "author": chance.choice(AUTHORS),
                "text": _text(chance, chance.randint(2, 8), chinese=chinese),
                "stars": chance.randint(1, 5),
            }
            for _ in range(chance.randint(1, 3))
        ]
    return article


def _text(chance: random.Random, count: int, *, chinese: bool) -> str:
    words = CHINESE if chinese else ENGLISH
    drawn = chance.choices(words, [1 / rank for rank in range(1, len(words) + 1)], k=count)
    return "".join(drawn) if chinese else " ".join(drawn).capitalize()


async def make_articles(
    url: str,
    name: str,
    *,
    shards: int = 3,
    count: int = 300,
    basic_auth: tuple[str, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Make the index, in place of one of that name, with so many articles; they can be found at once. Returns them."""
    username, password = basic_auth or (None, None)
    made = articles(count)
    client = connect([url], username=username, password=password)
    try:
        await client.indices.delete(index=name, ignore_unavailable=True)
        settings = {"number_of_shards": shards, "number_of_replicas": 0}
        await client.indices.create(index=name, settings=settings, mappings=ARTICLES_MAPPING)
        lines = [line for doc_id, article in made.items() for line in ({"index": {"_id": doc_id}}, article)]
        reply = await client.bulk(index=name, operations=lines, refresh=True)
        assert not reply["errors"]
    finally:
        await client.close()
    return made
