"""Dataset formats: each file registers a function from the recipe's `data` section to `Raw` arrays."""
