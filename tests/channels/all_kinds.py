"""All small models of single kinds of layers, by name."""

import kinds_of_fills
import kinds_of_graphs
import kinds_of_sequences
from kinds import KINDS, STAY

__all__ = ["KINDS", "STAY", "kinds_of_fills", "kinds_of_graphs", "kinds_of_sequences"]
