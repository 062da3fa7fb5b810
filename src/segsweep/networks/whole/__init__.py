"""Whole networks, one file each: architectures that are not an encoder with a head behind it."""
