"""Values that the weights of a layer share: k-means on a line (Han et al. 2016)."""

from __future__ import annotations

import numpy as np

ROUNDS = 100  # of Lloyd's algorithm, which on a line ends long before


def shared(weights: np.ndarray, most: int) -> np.ndarray:
    """Return ``weights`` with at most ``most`` different values beside zero; zeros stay zeros, and no others come.

    Args:
        weights: float array of any shape.
        most: at least 1.
    """
    kept = weights[weights != 0].astype(np.float64)
    if len(np.unique(kept)) <= most:
        return weights.copy()
    centroids = k_means(kept, most).astype(weights.dtype)
    result = weights.copy()
    result[weights != 0] = centroids[nearest(kept, centroids)]
    return result


def k_means(values: np.ndarray, most: int) -> np.ndarray:
    """Return at most ``most`` increasing centroids of ``values`` (n,), none of them zero.

    On a line clusters are runs of the sorted values, so a step of Lloyd's algorithm costs sums over runs, and in
    their order: the result is the same to the last bit everywhere, where scikit-learn adds in the order of its
    threads. The start, the worst run cut again and again, keeps all clusters, where evenly spaced starts lose a third.
    """
    ordered = np.sort(values)
    sums, squares = (np.concatenate([[0.0], np.cumsum(powers)]) for powers in (ordered, ordered**2))
    edges = split_runs(ordered, sums, squares, most)
    centroids = means(sums, edges)
    for _ in range(ROUNDS):
        inner = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2)
        edges, before = np.concatenate([[0], inner, [len(ordered)]]), centroids
        centroids = means(sums, edges)
        if np.array_equal(centroids, before):
            break
    return centroids[centroids != 0]


def split_runs(ordered: np.ndarray, sums: np.ndarray, squares: np.ndarray, most: int) -> np.ndarray:
    """Return the edges of at most ``most`` runs: again and again the one with the largest error is cut at its mean."""
    edges = np.array([0, len(ordered)])
    while len(edges) <= most:
        errors = np.diff(squares[edges]) - np.diff(sums[edges]) ** 2 / np.diff(edges)
        worst = int(np.argmax(errors))
        first, last = edges[worst], edges[worst + 1]
        cut = first + np.searchsorted(ordered[first:last], means(sums, edges)[worst])
        if not first < cut < last:  # all the same, up to rounding
            break
        edges = np.insert(edges, worst + 1, cut)
    return edges


def means(sums: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the mean of every run that is not empty, from running sums."""
    counts = np.diff(edges)
    return np.diff(sums[edges])[counts > 0] / counts[counts > 0]


def nearest(values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return for each of ``values`` the index of the nearest of increasing ``centroids``."""
    return np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)


def halved(values: np.ndarray) -> np.ndarray:
    """Return ``values`` rounded to float16, in their own type, where all of them lie in its range; else as they are.

    Of what would lose more than its last bits, such as a tiny variance, nothing is rounded.
    """
    if values.dtype not in (np.float32, np.float64):
        return values
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16).astype(values.dtype)
    return rounded if np.allclose(rounded, values, rtol=2.0**-10, atol=0.0) else values
