"""Scores that a field asks for besides the IoU of classes: of streets, of medical cases, of cells.

Each metric takes pictures one after the other as they were predicted, in the pictures' own size, and keeps no more of
them than it must: a case is scored as soon as it is whole.
"""

from segnext_pafpn.evaluation.fields.base import FieldMetric, FieldReport, Picture
from segnext_pafpn.evaluation.fields.medical import MedicalCases
from segnext_pafpn.evaluation.fields.segments import CellSegments
from segnext_pafpn.evaluation.fields.streets import Boundaries, Categories, Instances

__all__ = [
    "Boundaries",
    "Categories",
    "CellSegments",
    "FieldMetric",
    "FieldReport",
    "Instances",
    "MedicalCases",
    "Picture",
]
