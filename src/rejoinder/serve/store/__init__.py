"""What callers said and what became of it, kept only when asked for; redacted before it is written."""
