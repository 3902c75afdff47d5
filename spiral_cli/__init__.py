"""spiral: prune, distil, measure, keep or roll back, and choose the best student."""

__version__ = "0.1.0"
