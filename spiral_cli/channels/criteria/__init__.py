"""Importance of whole groups of channels, one criterion a file; criteria of weights serve too, summed."""
