"""What the service remembers between requests and restarts, and the store in a file; `elastic.state` is the other."""
