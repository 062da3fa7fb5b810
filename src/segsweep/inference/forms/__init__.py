"""The forms that a trained network is exported to and loaded from: one module each, in one table."""
