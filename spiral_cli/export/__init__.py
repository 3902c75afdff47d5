"""Files the chosen student is written to, one exporter a file; each is loaded again and measured."""
