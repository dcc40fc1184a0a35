"""Adapting on Ray: many sentences by Ray Data, training by Ray Train, searches by Ray Tune, several domains at once."""
