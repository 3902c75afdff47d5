"""What to prune: scores from weights, counts from scores, masks from both. Pure NumPy.

Only `pressure`, which runs inside the training step, computes with Keras' operations.
"""
