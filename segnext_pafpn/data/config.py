"""What to train and evaluate on. Does without torch, so that the command line can say at once what is wrong with it."""

from dataclasses import dataclass, field
from typing import Any, Literal

from segnext_pafpn.data.focus import CropFocus
from segnext_pafpn.files import expand_home
from segnext_pafpn.intensity import Intensity

CacheKind = Literal["none", "ram", "disk"]


@dataclass(kw_only=True)
class AugmentConfig:
    """What training changes at random, image and mask alike.

    Args:
        scale: smallest and largest zoom factor before cropping, 0.1 to 10.
        horizontal_flip: probability of mirroring left and right.
        vertical_flip: probability of mirroring top and bottom.
        rotate90: probability of a turn by a multiple of 90 degrees; for pictures without an up.
        color: strength of changes of brightness, contrast and saturation; hue changes by a tenth of it. Images that
            are not 8-bit RGB change in brightness, contrast and gamma instead, each channel by itself.
        blur: probability of a slight Gaussian blur.
        noise: probability of slight Gaussian noise.
    """

    scale: tuple[float, float] = (0.75, 1.5)
    horizontal_flip: float = 0.5
    vertical_flip: float = 0.0
    rotate90: float = 0.0
    color: float = 0.3
    blur: float = 0.0
    noise: float = 0.0


@dataclass(kw_only=True)
class DataConfig:
    """What to train and evaluate on.

    Args:
        card: name of a shipped card, path of a YAML card or of Ultralytics' data.yaml, or folder of a data set of
            nnU-Net.
        root: the data set's folder, in place of the one in the card.
        layout: options of the card's layout in place of its own, such as ``{fold: 1}``.
        train_split: split to train on.
        val_split: split to choose the best weights on.
        image_size: height and width to which every picture is resized first, or null to keep its own.
        crop_size: height and width of the crops to train on.
        crop_focus: crops that are laid around pixels of chosen classes.
        repeat_threshold: draw pictures more often that hold a class which less than this share of the pictures holds
            (repeat-factor sampling, arXiv 1908.03195); or null. An epoch stays as long as it is.
        batch_size: crops per step and device.
        val_batch_size: pictures per step and device in evaluation.
        samples_per_epoch: crops per epoch, or null for one of each picture; evaluations follow epochs, so that fewer
            make them come sooner in a large data set.
        num_workers: processes that read and augment, per device; null for up to 8, as cores allow.
        cache: keep decoded pictures: ram, in memory that the workers of a device share; disk, in files in cache_dir
            that all runs share; or none.
        cache_dir: folder of the cache on disk, which may be removed at any time.
        check: read everything once before training and stop at what is wrong.
        augment: random changes in training.
        intensity: how images that are not 8-bit RGB are normalised, or null to follow the card and measure the train
            split where that takes numbers. A run's config.yaml holds what was used.
    """

    card: str = "streets"
    root: str | None = None
    layout: dict[str, Any] = field(default_factory=dict)
    train_split: str = "train"
    val_split: str = "val"
    image_size: tuple[int, int] | None = None
    crop_size: tuple[int, int] = (128, 192)
    crop_focus: CropFocus = field(default_factory=CropFocus)
    repeat_threshold: float | None = None
    batch_size: int = 8
    val_batch_size: int = 8
    samples_per_epoch: int | None = None
    num_workers: int | None = None
    cache: CacheKind = "none"
    cache_dir: str | None = None
    check: bool = True
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    intensity: Intensity | None = None

    def __post_init__(self) -> None:
        self.card = expand_home(str(self.card))
        self.root = None if self.root is None else expand_home(str(self.root))
        self.cache_dir = None if self.cache_dir is None else expand_home(str(self.cache_dir))
