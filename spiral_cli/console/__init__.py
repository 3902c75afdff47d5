"""What a person sees while a run goes on: a live table in a terminal, plain lines elsewhere."""
