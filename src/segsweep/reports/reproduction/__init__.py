"""A run and the same run trained again: are they equal, equal within noise, or not, and what is different."""
