"""Image, truth and prediction of a network, a row an image (Dual ASPP, Fig. 5: MobileNetV2 with its head).

Without `image=` these are four images, evenly spread over the test list. Any head will do.
"""

from segsweep.reports.paper_figures.drawing import Wanted
from segsweep.reports.paper_figures.ksac_fig6 import draw

RUNS = (Wanted("one run, such as one with head=dual_aspp"),)
IMAGES = 4

__all__ = ["IMAGES", "RUNS", "draw"]
