"""Adapter to Elasticsearch: `query` alone writes its JSON, `hits` alone reads it, `errors` alone catches its errors."""
