"""`spiral plan`: what each round will have left, what it needs and how long it takes, before any training."""
