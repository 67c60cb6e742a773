"""The HTTP API: shapes, routes, errors."""
