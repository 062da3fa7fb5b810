"""Predict files: images and videos into masks, overlays, probabilities and areas, and continue if killed.

`inputs` finds the files, `pictures` and `video` read them, `outputs` writes what is predicted, `journal`
remembers what is written, and `predict` is the loop over all of it.
"""
