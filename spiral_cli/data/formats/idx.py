"""Folders of MNIST-format files."""

from __future__ import annotations

from spiral_cli.data.idx_files import find_idx, only_pair, read_pairs
from spiral_cli.data.raw import Raw, own_paths, root_path
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets


@datasets.register("idx", needs=("path",))
def idx(settings: Data) -> Raw:
    """A folder of MNIST-format files (train-images-idx3-ubyte, t10k-…), gzipped or not."""
    root = root_path(settings)
    own = {part: only_pair(path) for part, path in own_paths(settings).items()}
    return read_pairs((find_idx(root) if root else {}) | own)
