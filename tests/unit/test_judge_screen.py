from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from searchsvc.cli.judge_screen import page, wrapped
from searchsvc.evaluation.judging import (
    GRADES,
    Pair,
    Session,
)


def a_pair(doc_id="d1", query_id="q1", **texts):
    given = {"user_query": "network", "title": "Title", "text": "Text.", "passage": "Title\nText."}
    return Pair(query_id=query_id, doc_id=doc_id, **given | texts)


texts = st.text(st.sampled_from("ab网络，。（（ \n\t!é\u0301\x1b\u202e文"), max_size=120)


class TestPage:
    @given(texts, st.integers(4, 40))
    def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(self, text, width):
        lines = wrapped(text, width)

        assert all(line and cell_len(line) <= width for line in lines)
        assert "".join("".join(lines).split()) == "".join(
            character if character.isprintable() else "\ufffd" for character in "".join(text.split())
        )

    def test_chinese_fills_the_line_after_a_word(self):
        assert wrapped("Python 导入失败怎么办，请检查", 16) == ["Python 导入失败", "怎么办，请检查"]
        assert wrapped("wireless network", 10) == ["wireless", "network"]

    def test_no_line_begins_with_a_closing_mark_or_ends_with_an_opening_one(self):
        assert wrapped("网络不通，重启", 8) == ["网络不", "通，重启"]
        assert wrapped("网络不（重启）", 8) == ["网络不", "（重启）"]

    @given(texts, texts, texts, st.sampled_from([(80, 24), (120, 40), (40, 12)]))
    def test_it_fits_the_terminal_whatever_the_texts(self, query, title, text, size):
        width, height = size
        console = Console(width=width, height=height, file=io.StringIO())
        session = Session([a_pair(user_query=query, title=title * 9, text=text * 20)])

        lines = console.render_lines(page(session, width=width, height=height), pad=False)

        assert len(lines) <= height
        assert all(sum(cell_len(segment.text) for segment in line) <= width for line in lines)
        assert "skip" in "".join(segment.text for line in lines for segment in line)

    def test_it_shows_progress_texts_and_keys_and_nothing_of_who_found_it(self):
        session = Session([a_pair("the-id", query_id="the-query-id", text="词" * 1200), a_pair("other")])
        session.go_on(judged=False)
        session.go_back()
        console = Console(width=80, record=True, file=io.StringIO())

        console.print(page(session, width=80, height=None))

        shown = console.export_text()
        assert "pair 1 of 2   0 judged, 0 skipped, 2 left" in shown
        assert "network" in shown
        assert "Title" in shown
        assert shown.count("词") == 1000
        assert all(f"{grade} {meaning}" in shown for grade, meaning in GRADES.items())
        assert "the-id" not in shown
        assert "rank" not in shown

    def test_control_characters_cannot_steer_the_terminal(self):
        assert wrapped("\x1b[2Jabc\x07", 40) == ["\ufffd[2Jabc\ufffd"]
