"""What stands between an expander and a chat endpoint: cache, shared calls, breaker, pacing, masking."""
