"""Whether, and how heavily, a query is worth expanding."""
