"""`spiral benchmark`: files of models measured in their own runtimes, in turns, so that ratios can be believed."""
