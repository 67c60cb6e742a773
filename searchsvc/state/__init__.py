"""What the service remembers between requests and restarts, in Elasticsearch or in a file of SQLite."""
