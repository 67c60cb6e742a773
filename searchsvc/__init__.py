"""searchsvc: relevance in front of Elasticsearch. This module imports nothing, so that it costs nothing."""

__version__ = "0.1.0"
