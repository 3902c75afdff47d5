"""The one compiled loop that everything trains through, and what it needs around it."""
