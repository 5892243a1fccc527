"""The course's data: dates and additions, the programs that make them, and the loaders that read them."""
