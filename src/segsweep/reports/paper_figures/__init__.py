"""The papers' figures, a file each: `ksac_fig5.py` draws `ksac.fig5`.

The first line of a file's docstring is its line in `segsweep figure --help`. The file has the runs that the
figure needs, `RUNS`, how many images it shows, `IMAGES`, and what draws it, `draw(runs, images)`; see
`drawing.PaperFigure`. Nothing else needs to know of it.
"""
