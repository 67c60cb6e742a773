"""The words of an index and their neighbours by sentence vectors: what both engines share, and none of their I/O.

`method` and `words` can be imported without numpy.
"""
