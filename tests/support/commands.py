"""Commands run in this process."""

from __future__ import annotations

import pytest

from searchsvc.cli import main


def refusal(capsys: pytest.CaptureFixture[str], *tokens: object) -> str:
    """What a command says that ends with status 2, on one line."""
    with pytest.raises(SystemExit) as caught:
        main([*map(str, tokens)])
    assert caught.value.code == 2
    return " ".join(capsys.readouterr().err.split())
