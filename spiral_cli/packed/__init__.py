"""The smallest file of a model: arrays to bytes and back by an entropy coder; NumPy and constriction alone."""
