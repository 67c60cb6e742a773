"""Where gain models come from: the one that is shipped, or a file of the user's."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from searchsvc.errors import ConfigurationError
from searchsvc.policy.model import GainModel

_SHIPPED = ("models", "default.json")


def read_model(path: Path | None = None) -> GainModel:
    """The model of the file, None: the one that is shipped.

    Raises ConfigurationError that names the file, if it cannot be read or is no model for this version.
    """
    place = files("searchsvc.policy").joinpath(*_SHIPPED) if path is None else path
    try:
        value = json.loads(place.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"The gain model {place} cannot be read: {error}.") from error
    try:
        return GainModel.from_json(value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error.message}", hint=error.hint) from error
