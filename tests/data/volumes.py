"""Small data sets of volumes, written by nibabel and tifffile as scanners and microscopes leave them."""

import json
from pathlib import Path

import nibabel
import numpy as np
import tifffile

from tests.data.layouts import save

SHAPE = (12, 40, 36)  # slices, rows, columns
SPACING = (3.0, 0.5, 0.75)  # of them, in millimetres


def affine(seed: int = 0, spacing: tuple[float, ...] = SPACING) -> np.ndarray:
    """Turned by 10 degrees around k, i to the right-hand side, away from the origin; of voxels (i, j, k)."""
    angle = np.deg2rad(10)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    result = np.eye(4)
    result[:3, :3] = turn @ np.diag([-spacing[2], spacing[1], spacing[0]])
    result[:3, 3] = [-40.0 + seed, 13.5, 7.25]
    return result


def labels(seed: int, shape: tuple[int, int, int] = SHAPE, values: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    """``(D, H, W)`` uint8: a block of each value but the first, at another place in every volume."""
    result = np.full(shape, values[0], np.uint8)
    random = np.random.default_rng(seed)
    for value in values[1:]:
        d, h, w = (int(random.integers(0, max(1, side // 2))) for side in shape)
        result[d : d + max(1, shape[0] // 3), h : h + shape[1] // 3, w : w + shape[2] // 3] = value
    return result


def intensities(truth: np.ndarray, seed: int, dtype: type = np.int16, low: float = -500.0) -> np.ndarray:
    """Values that follow from the labels, with noise."""
    noise = np.random.default_rng([seed, 7]).normal(0, 20, truth.shape)
    return (low + 200.0 * truth + noise).astype(dtype)


def save_nifti(path: Path, volume: np.ndarray, transform: np.ndarray | None = None) -> None:
    """Write ``(D, H, W)``, whose axes are k, j, i of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(np.ascontiguousarray(volume.T), affine() if transform is None else transform)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def reorient(path: Path, codes: str) -> None:
    """Store the file's volume with axes that run to ``codes``, such as ``RAS``; its voxels stay where they are."""
    orientations, image = nibabel.orientations, nibabel.load(path)
    turn = orientations.ornt_transform(orientations.io_orientation(image.affine), orientations.axcodes2ornt(codes))
    nibabel.save(nibabel.Nifti1Image(np.array(image.dataobj), image.affine).as_reoriented(turn), path)


def write_dataset_json(root: Path, **changes: object) -> None:
    values = {
        "channel_names": {"0": "T1"},
        "labels": {"background": 0, "anterior": 1, "posterior": 2},
        "numTraining": 4,
        "file_ending": ".nii.gz",
        **changes,
    }
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(values))


def nnunet(root: Path, cases: int = 4, channels: tuple[str, ...] = ("T1",), test: int = 1, **changes: object) -> None:
    """A data set of nnU-Net with NIfTI volumes; ``changes`` are of dataset.json."""
    write_dataset_json(
        root, channel_names={str(i): name for i, name in enumerate(channels)}, numTraining=cases, **changes
    )
    ending = changes.get("file_ending", ".nii.gz")
    for number in range(cases + test):
        part = "Tr" if number < cases else "Ts"
        truth = labels(number)
        for channel in range(len(channels)):
            volume = intensities(truth, number + 100 * channel, low=-500.0 + 1000 * channel)
            save_nifti(root / f"images{part}/case_{number:03}_{channel:04}{ending}", volume, affine(number))
        if part == "Tr":
            save_nifti(root / f"labels{part}/case_{number:03}{ending}", truth, affine(number))


def nnunet_png(root: Path, cases: int = 5, colours: bool = True) -> None:
    """The form for pictures: colours in one PNG, or a PNG for each of two channels."""
    names = ("R", "G", "B") if colours else ("phase", "dapi")
    channel_names = {str(i): name for i, name in enumerate(names)}
    write_dataset_json(root, channel_names=channel_names, numTraining=cases, file_ending=".png")
    for number in range(cases):
        truth = labels(number, (1, 40, 36))[0]
        grey = (40 + 60 * truth).astype(np.uint8)
        if colours:
            save(root / f"imagesTr/case_{number:03}_0000.png", np.stack([grey, grey + 5, grey + 10], axis=2))
        else:
            save(root / f"imagesTr/case_{number:03}_0000.png", grey)
            save(root / f"imagesTr/case_{number:03}_0001.png", 255 - grey)
        save(root / f"labelsTr/case_{number:03}.png", truth)


def nnunet_tiff(root: Path, cases: int = 5) -> None:
    """The form for stacks: TIFF files with the spacing in a JSON file beside them."""
    write_dataset_json(root, channel_names={"0": "EM"}, numTraining=cases, file_ending=".tif")
    for number in range(cases):
        truth = labels(number)
        save_stack(root / f"imagesTr/case_{number:03}_0000.tif", intensities(truth, number, np.uint16, 1000))
        save_stack(root / f"labelsTr/case_{number:03}.tif", truth)
        for folder in ("imagesTr", "labelsTr"):
            (root / f"{folder}/case_{number:03}.json").write_text(json.dumps({"spacing": SPACING}))


def save_stack(path: Path, volume: np.ndarray, spacing: tuple[float, ...] | None = None, **options: object) -> None:
    """A TIFF of one page a slice; with a spacing as ImageJ writes it, in micrometres."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if spacing is None:
        tifffile.imwrite(path, volume, photometric="minisblack", **options)
        return
    depth, height, width = (1000 * side for side in spacing)
    metadata = {"axes": "ZYX", "spacing": depth, "unit": "um"}
    tifffile.imwrite(path, volume, imagej=True, resolution=(1 / width, 1 / height), metadata=metadata)
