"""A paper's table beside what was measured."""
