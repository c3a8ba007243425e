"""Two procedural data sets with ground truth by construction, drawn on the fly from a seed.

`street_scene` draws stylised views from a car in eight classes; `cell_image` draws microscope pictures whose
third class is the thin line where two cells touch. Both need nothing but numpy and OpenCV, and give the same
bytes for the same seed and size.
"""

from segnext_pafpn.data.synthetic.cells import CELL_CLASSES, cell_image
from segnext_pafpn.data.synthetic.street_plan import STREET_CLASSES
from segnext_pafpn.data.synthetic.streets import street_scene

__all__ = ["CELL_CLASSES", "STREET_CLASSES", "cell_image", "street_scene"]
