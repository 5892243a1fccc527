"""Training: what is learned (task), how (recipe), one run with its files (run), and the programs around it."""
