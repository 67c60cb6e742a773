"""Offline evaluation: judged queries through the real pipeline, variant against variant."""
