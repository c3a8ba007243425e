"""Read a data set once, on the CPU, before a GPU meets it: everything that is wrong, with the file it is wrong in.

``scan`` reads, ``causes`` explains, ``duplicates`` compares the splits, ``table`` and ``page`` show.
"""

from segnext_pafpn.data.check.report import Cause, DataReport, SplitReport, check_data
from segnext_pafpn.data.check.scan import check_split
from segnext_pafpn.data.check.table import check_table, check_values, empty_masks

__all__ = [
    "Cause",
    "DataReport",
    "SplitReport",
    "check_data",
    "check_split",
    "check_table",
    "check_values",
    "empty_masks",
]
