"""spiral: prune, distil, measure, keep or roll back, and choose the best student."""

import os

__version__ = "0.1.0"

# oneDNN's convolutions are faster than TensorFlow's own on every x86 processor tried; left alone,
# TensorFlow takes them on some only. It reads this once, when it is first imported.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
