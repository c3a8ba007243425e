"""A confusion matrix for every image: which ones a network does badly on, and how far its score would move with others.

N images, K classes. Scores are fractions, 0..1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from segnext_pafpn.errors import UserError
from segnext_pafpn.files import near_folder, write_atomic, write_csv


@dataclass(frozen=True, eq=False)
class ImageMatrices:
    """One evaluation, image by image.

    Args:
        names: N labels of the images, each different.
        matrices: (N, K, K) pixel counts, rows truth, columns prediction; (N, K, 2, 2) where a pixel may be of several
            classes.
        class_names: K.
        split: that was scored.
        cases: N names of what each image is a slice of, its own name where it is no slice; empty: none is.
    """

    names: tuple[str, ...]
    matrices: np.ndarray
    class_names: tuple[str, ...]
    split: str
    cases: tuple[str, ...] = ()

    def __post_init__(self):
        if len(self.cases) not in (0, len(self.names)):
            raise ValueError(f"{len(self.cases)} cases for {len(self.names)} images: give one for each, or none.")
        count, classes = len(self.names), len(self.class_names)
        if self.matrices.shape not in ((count, classes, classes), (count, classes, 2, 2)):
            raise ValueError(f"matrices are {self.matrices.shape}, expected {(count, classes, classes)}.")

    @property
    def has_slices(self) -> bool:
        """Whether any case is of several images."""
        return len(set(self.cases)) < len(self.cases)

    def by_case(self) -> "ImageMatrices":
        """The same with the matrices of each case's images added up; itself where each image is a case."""
        if not self.has_slices:
            return self
        place = {case: i for i, case in enumerate(dict.fromkeys(self.cases))}
        matrices = np.zeros((len(place), *self.matrices.shape[1:]), np.int64)
        np.add.at(matrices, [place[case] for case in self.cases], self.matrices)
        return ImageMatrices(tuple(place), matrices, self.class_names, self.split)

    def shown_of(self, case: str) -> int:
        """Place of the image to show of a case: the one with most of what is not the first class, true or predicted."""
        if case not in self.cases:
            return self.names.index(case)
        places = [i for i, name in enumerate(self.cases) if name == case]
        background = self.matrices[places].reshape(len(places), -1)[:, 0]
        held = self.matrices[places].reshape(len(places), -1).sum(axis=1) - background
        return places[int(held.argmax())]

    def iou(self) -> np.ndarray:
        """IoU of each class in each image, (N, K), NaN where the class is in neither truth nor prediction."""
        right, union = right_and_union(self.matrices)
        return np.divide(right, union, out=np.full(union.shape, np.nan), where=union > 0)

    def miou(self) -> np.ndarray:
        """Mean of each image's own IoUs, (N,), NaN where no pixel counts."""
        iou = self.iou()
        measured = ~np.isnan(iou)
        count = measured.sum(axis=1)
        return np.divide(np.where(measured, iou, 0).sum(axis=1), count, out=np.full(len(iou), np.nan), where=count > 0)

    def accuracy(self) -> np.ndarray:
        """Share of each image's pixels that are right, (N,), NaN where no pixel counts."""
        count = len(self.names)
        right = np.trace(self.matrices, axis1=-2, axis2=-1).reshape(count, -1).sum(axis=1)
        total = self.matrices.reshape(count, -1).sum(axis=1)
        return np.divide(right, total, out=np.full(len(total), np.nan), where=total > 0)

    def worst_first(self) -> np.ndarray:
        """Places of the images that can be scored, from the lowest mIoU to the highest."""
        miou = self.miou()
        order = np.argsort(miou, kind="stable")
        return order[~np.isnan(miou[order])]


def right_and_union(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """TP and TP + FP + FN of each class, twice (N, K) int64, from matrices (N, K, K) or (N, K, 2, 2)."""
    if matrices.ndim == 4:
        right = matrices[..., 1, 1].astype(np.int64)
        return right, right + matrices[..., 0, 1] + matrices[..., 1, 0]
    right = np.diagonal(matrices, axis1=-2, axis2=-1).astype(np.int64)
    return right, matrices.sum(axis=-1, dtype=np.int64) + matrices.sum(axis=-2, dtype=np.int64) - right


def save_images(images: ImageMatrices, path: Path) -> None:
    """Write a compressed ``.npz`` that :func:`load_images` reads; made whole or not at all."""
    with write_atomic(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            names=np.array(images.names, dtype=np.str_),
            matrices=images.matrices.astype(np.int32),
            class_names=np.array(images.class_names, dtype=np.str_),
            split=np.array(images.split),
            cases=np.array(images.cases, dtype=np.str_),
        )


def write_images(images: ImageMatrices, folder: Path, stem: str) -> None:
    """``<stem>_images.npz`` for comparing runs, and ``<stem>_images.csv``, worst image first, for looking at them."""
    save_images(images, folder / f"{stem}_images.npz")
    write_csv(folder / f"{stem}_images.csv", ("image", "mIoU", "aAcc", "worst_class"), image_rows(images))


def load_images(path: Path) -> ImageMatrices:
    """Read what :func:`save_images` wrote.

    Raises:
        UserError: naming a file that is missing or is not such a file.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file, expected the scores of every image. Write it with segnext-pafpn val.")
    try:
        with np.load(path, allow_pickle=False) as file:
            return ImageMatrices(
                names=tuple(file["names"].tolist()),
                matrices=file["matrices"],
                class_names=tuple(file["class_names"].tolist()),
                split=str(file["split"]),
                cases=tuple(file["cases"].tolist()) if "cases" in file else (),  # files of older versions have none
            )
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UserError(
            f"{path}: not a readable file of per-image scores ({' '.join(str(error).split())[:120]}). "
            f"Delete it and run segnext-pafpn val again."
        ) from error


def scores_stem(split: str, tta: str = "none") -> str:
    """What the files begin with into which val writes the scores of a run's own split."""
    return f"metrics_{split}" + ("" if tta == "none" else f"_{tta}")


def scores_title(split: str, tta: str = "none") -> str:
    """What tables of them are headed by."""
    return f"split '{split}'" + ("" if tta == "none" else f", test-time augmentation {tta}")


def load_images_of_run(run: Path, split: str, tta: str = "none") -> ImageMatrices:
    """What val has counted in each image of a split, with test-time augmentation or without.

    Raises:
        UserError: if it has not, with the command that does, or as :func:`load_images`.
    """
    path = run / f"{scores_stem(split, tta)}_images.npz"
    if not run.is_dir():
        raise UserError(f"{run}: no such folder.{near_folder(run)} Give the folder of a run, such as runs/NAME.")
    if not path.is_file():
        option = "" if tta == "none" else f" --tta {tta}"
        raise UserError(
            f"{path}: no such file, expected the scores of every image. Write it with: segnext-pafpn val --checkpoint "
            f"{run} --split {split}{option}"
        )
    return load_images(path)


def image_rows(images: ImageMatrices) -> list[Sequence[object]]:
    """A row per image from the worst up: name, mIoU and pixel accuracy in percent, and its worst class."""
    iou, miou, accuracy = images.iou(), images.miou(), images.accuracy()
    return [
        (
            images.names[i],
            round(100 * float(miou[i]), 2),
            round(100 * float(accuracy[i]), 2),
            images.class_names[int(np.nanargmin(iou[i]))],
        )
        for i in images.worst_first()
    ]
