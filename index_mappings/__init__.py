"""Settings and mappings of the indices of this service: one JSON file per index and version."""
