"""Models that complete prompts: local, behind an endpoint, embedded."""
