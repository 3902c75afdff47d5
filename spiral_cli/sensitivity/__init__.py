"""`spiral sensitivity`: what each layer loses by itself, and the sparsities by layer that follow from it."""
