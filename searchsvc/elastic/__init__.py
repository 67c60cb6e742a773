"""Adapter to Elasticsearch: `query` and `adopted.bodies` write its JSON, `hits` and `adopted.hits` read it.

`errors` alone catches its errors. `adopting` proposes how to stand in front of an index of others, `adopted` does it.
"""
