"""One file a kind of problem: it ties data, models, losses and metrics together."""
