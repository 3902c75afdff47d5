"""Importance rules, one file each: weights and evidence in, scores out; the higher is kept."""
