"""Two-stage query expansion by a chat model, and its prompts."""
