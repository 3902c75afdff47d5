"""Channels that leave together: found in a model's graph, ranked, and really removed."""
