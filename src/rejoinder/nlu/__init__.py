"""Language understanding: the caller's words to an intent with its slots, or to an answer from the knowledge."""
