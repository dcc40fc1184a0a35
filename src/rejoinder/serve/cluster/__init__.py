"""The same server on Ray Serve: replicas of an assistant on several machines, and what they share."""
