"""Indices that others made: read through their own analysers, never written to."""
