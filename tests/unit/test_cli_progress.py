from __future__ import annotations

import io

from rich.console import Console
from rich.progress import Progress

from searchsvc.cli.common import words_told


def test_the_comparing_of_words_has_a_bar_of_its_own_as_soon_as_it_begins() -> None:
    bar = Progress(console=Console(file=io.StringIO()))
    told = words_told(bar)
    (task,) = bar.tasks
    assert not task.visible

    told(256, 20_000)

    assert (task.visible, task.completed, task.total) == (True, 256, 20_000)
    assert "words" in task.description
