"""What to prune: scores from weights, counts from scores, masks from both. Pure NumPy."""
