from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.grid import NAMES, grid
from searchsvc.evaluation.html_report import html_page, write_page
from searchsvc.evaluation.markup import element
from searchsvc.evaluation.plots import Point, gain_plot, harm_plot
from searchsvc.evaluation.report import report
from searchsvc.evaluation.runner import Added, Tokens, VariantRun
from searchsvc.evaluation.variants import parse_variant

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&\x1b[31m"
QUERIES = {"q1": "one", "q2": HOSTILE, "q3": "three"}
QRELS = {query_id: {"right": 1} for query_id in QUERIES}
RIGHT, SECOND, WRONG = ("right",), ("wrong", "right"), ("wrong",)


class Page(HTMLParser):
    """The names of the elements, their attributes, and the text."""

    def __init__(self, html):
        super().__init__()
        self.names, self.attributes, self.text = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_data(self, data):
        self.text += data


def run(name, *rankings, term="term"):
    return VariantRun(
        variant=parse_variant(f"{name}:"),
        rankings=dict(zip(QUERIES, rankings, strict=True)),
        took_ms=dict.fromkeys(QUERIES, 2.0),
        missed={},
        tokens=dict.fromkeys(QUERIES, Tokens(1, 10, 5)),
        added=dict.fromkeys(QUERIES, Added(decision="expanded", reason="on", method="llm", terms=(term,))),
    )


def page_of(*runs, with_grid=False, notes=()):
    reports = report(runs, measures=["RR@10"], qrels=QRELS, texts=QUERIES)
    found = grid(reports) if with_grid else None
    return html_page("a title", facts={"index": "i"}, notes=notes, reports=reports, grid=found, texts=QUERIES)


def test_the_page_holds_the_figures_the_plots_and_the_queries_that_made_them():
    html = page_of(run("base", RIGHT, WRONG, RIGHT), run("other", SECOND, RIGHT, RIGHT), notes=["1 query is left out"])

    page = Page(html)
    assert page.names.count("svg") == 2
    for told in ("a title", "other against base", "The worst queries by RR@10", "llm: term", "1/1/1", "-0.5000"):
        assert told in page.text
    assert "1 query is left out" in page.text
    assert page.names.count("rect") == len(QUERIES)


def test_texts_of_a_query_are_only_text():
    html = page_of(run("base", RIGHT, WRONG, RIGHT), run("other", SECOND, RIGHT, RIGHT, term=HOSTILE), notes=[HOSTILE])

    page = Page(html)
    assert "script" not in page.names
    assert "img" not in page.names
    assert [name for name, _ in page.attributes if name.startswith("on")] == []
    assert "<script>alert(1)</script>" in page.text
    assert "\x1b" not in html


def test_the_page_needs_nothing_from_outside_and_has_dark_colours():
    html = page_of(run("base", RIGHT, WRONG, RIGHT), run("other", SECOND, RIGHT, RIGHT))

    page = Page(html)
    assert {"src", "href"}.isdisjoint(name for name, _ in page.attributes)
    assert re.search(r"https?://|url\(|@import", html) is None
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert "prefers-color-scheme: dark" in html


def test_one_variant_alone_has_no_plots():
    page = Page(page_of(run("base", RIGHT, WRONG, RIGHT)))

    assert "svg" not in page.names
    assert "0.6667" in page.text


def test_the_grid_tells_what_is_left_behind_the_reranker():
    runs = [
        run(name, RIGHT, ranking, RIGHT) for name, ranking in zip(NAMES, [WRONG, RIGHT, WRONG, SECOND], strict=True)
    ]

    page = Page(page_of(*runs, with_grid=True))

    assert "behind the reranker+0.1667" in page.text
    assert "without reranker+0.3333" in page.text


def test_bars_are_sorted_and_tell_who_is_harmed():
    gains = {"a": -0.05, "b": 0.4, "c": -0.3, "d": 0.0}

    picture = ElementTree.fromstring(gain_plot(gains, dict.fromkeys(gains, "q"), "nDCG@10"))

    bars = picture.findall("rect")
    assert [bar.get("class") for bar in bars] == ["win", "tie", "loss", "harm"]
    assert [bar.find("title").text.split(":")[0] for bar in bars] == ["b", "d", "a", "c"]
    places = [float(bar.get("x")) for bar in bars]
    assert places == sorted(places)
    heights = {bar.find("title").text[0]: float(bar.get("height")) for bar in bars}
    assert heights["b"] > heights["c"] > heights["a"] > heights["d"]


def test_a_variant_that_harms_more_stands_to_the_right_and_one_that_gains_more_above():
    points = [
        Point(name="safe", harm=0.02, gain=0.05, interval=(0.01, 0.09)),
        Point(name="bold", harm=0.2, gain=0.1, interval=None),
    ]

    picture = ElementTree.fromstring(harm_plot(points, "nDCG@10"))

    safe, bold = [(float(each.get("cx")), float(each.get("cy"))) for each in picture.findall("circle")]
    assert bold[0] > safe[0]
    assert bold[1] < safe[1]
    assert 0 < safe[0] < bold[0] < 720


@pytest.mark.parametrize("gains", [{"q": 0.0}, {"q": 1.0}, {"q": -1.0}])
def test_a_single_query_can_be_drawn(gains):
    bars = ElementTree.fromstring(gain_plot(gains, {"q": "text"}, "nDCG@10")).findall("rect")

    assert len(bars) == 1
    assert 0 <= float(bars[0].get("y")) <= 260


def test_attributes_are_escaped():
    assert element("p", class_='"><b>') == '<p class="&quot;&gt;&lt;b&gt;"></p>'


def test_a_page_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        write_page(tmp_path / "gone" / "page.html", "x")

    assert "page.html cannot be written: No such file or directory." in caught.value.message
