"""`segsweep runs`: looking at runs, removing them, bringing some in, checking that they are whole.

Works on files alone; what plans and trains knows nothing of it.
"""
