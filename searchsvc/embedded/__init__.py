"""The embedded engine: BM25 by tantivy, sentence vectors and word neighbours, on disk, without any server."""
