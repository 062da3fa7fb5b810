"""Findings as files: the page, Markdown, LaTeX, CSV and JSON of the same cells."""
