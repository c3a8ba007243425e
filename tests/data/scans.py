"""A folder of volumes with its card, and its reader."""

from collections import defaultdict

import numpy as np

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.evaluation.cases import stack_slices
from tests.conftest import write_card
from tests.data.volumes import SPACING, intensities, labels, save_nifti, save_stack

CLASSES = [{"name": name, "ids": [i]} for i, name in enumerate(("background", "anterior", "posterior"))]
LAYOUT = {"reader": "volumes", "images": "images", "masks": "masks"}


def scans(root, count=4, ending=".nii.gz", transform=None, **layout):
    """A folder of volumes with its card; the number of a case is the seed of its labels."""
    for number in range(count):
        truth = labels(number)
        for folder, volume in (("images", intensities(truth, number)), ("masks", truth)):
            path = root / f"{folder}/p{number}{ending}"
            if ending.startswith(".nii"):
                save_nifti(path, volume, transform)
            elif ending == ".tif":
                save_stack(path, volume, SPACING)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, volume)
    return write_card(
        root, classes=CLASSES, image={"channels": 1, "normalize": "zscore"}, layout={**LAYOUT, "folds": 2, **layout}
    )


def reader_of(card, **layout):
    return build_reader(load_card(str(card)), layout=layout)


def put_together(reader, samples):
    """Volumes of images and of labels by case, each with the slices' axis first."""
    by_case = defaultdict(list)
    for sample in samples:
        by_case[sample.case].append(sample)

    def volumes(read):
        return {case: stack_slices(case, ((s.slice, read(s)) for s in slices)) for case, slices in by_case.items()}

    return volumes(reader.read_image), volumes(reader.read_mask)
