"""Expansion by dictionaries: synonym files, the lexicon that comes with the service, WordNet."""
