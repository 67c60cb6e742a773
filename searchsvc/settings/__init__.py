"""Every setting of the service, and the only place that reads them.

A later source wins over an earlier one: defaults, `./searchsvc.toml`, the environment, the command line.
`elasticsearch.url` in the file's table `[elasticsearch]` is `SEARCHSVC_ELASTICSEARCH__URL` in the environment.
An empty environment variable is one that is not set.
"""

from __future__ import annotations

from searchsvc.settings.declared import Settings
from searchsvc.settings.loading import KEYS, LoadedSettings, Source, environment_name, load_settings

__all__ = ["KEYS", "LoadedSettings", "Settings", "Source", "environment_name", "load_settings"]
