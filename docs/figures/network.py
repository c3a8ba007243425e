"""Draw the network: `python docs/figures/network.py` writes network.png beside this file.

Channels, depths and dilations are read from the code. Coordinates are inches from the lower left corner.
"""

import inspect
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch, Polygon, Rectangle
from matplotlib.path import Path as Curve

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.synthetic import street_scene
from segnext_pafpn.models.elanext import ELANEXT_VARIANTS
from segnext_pafpn.models.segmentor import PAFPNeXt
