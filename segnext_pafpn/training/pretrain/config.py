"""Everything a pretraining run is made from. Its defaults are ConvNeXt's recipe (arXiv 2201.03545, table 5)."""

from dataclasses import dataclass, field

from segnext_pafpn.files import expand_home
from segnext_pafpn.models.classifier import ClassifierConfig
from segnext_pafpn.training.config import AdamWConfig, RunConfig, TrainerConfig


@dataclass(kw_only=True)
class ImageAugmentConfig:
    """Random changes of pictures and classes in training, all timm's.

    Args:
        scale: smallest and largest part of a picture's area that a crop covers.
        horizontal_flip: probability.
        auto_augment: timm's string of RandAugment (arXiv 1909.13719) or another policy, or null.
        color_jitter: strength; timm uses it only where auto_augment is null or a policy of 3a.
        random_erasing: probability that a rectangle turns into noise (arXiv 1708.04896).
        mixup: alpha of mixup (arXiv 1710.09412), 0 for none.
        cutmix: alpha of CutMix (arXiv 1905.04899), 0 for none; with both, each batch draws one.
        label_smoothing: share of a target that is spread over all classes.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    horizontal_flip: float = 0.5
    auto_augment: str | None = "rand-m9-mstd0.5-inc1"
    color_jitter: float = 0.4
    random_erasing: float = 0.25
    mixup: float = 0.8
    cutmix: float = 1.0
    label_smoothing: float = 0.1


@dataclass(kw_only=True)
class ImageFolderConfig:
    """What to pretrain on: ROOT/SPLIT/CLASS/PICTURE, as ImageNet is laid out.

    Args:
        root: the data set's folder.
        train_split: folder in root to train on.
        val_split: folder in root to choose the best weights on.
        input_size: side of the square that the network sees.
        crop_pct: side of the evaluation's centre crop as a share of the resized picture's shorter side.
        interpolation: bicubic, bilinear, or random in training.
        batch_size: pictures per step and device.
        val_batch_size: pictures per step and device in evaluation.
        num_workers: processes that read and augment, per device; null for up to 8, as cores allow.
        augment: random changes in training.
    """

    root: str | None = None
    train_split: str = "train"
    val_split: str = "val"
    input_size: int = 224
    crop_pct: float = 0.875
    interpolation: str = "bicubic"
    batch_size: int = 128
    val_batch_size: int = 128
    num_workers: int | None = None
    augment: ImageAugmentConfig = field(default_factory=ImageAugmentConfig)

    def __post_init__(self) -> None:
        self.root = None if self.root is None else expand_home(str(self.root))


@dataclass(kw_only=True)
class PretrainOptimConfig(AdamWConfig):
    """How to minimise: AdamW, linear warmup, cosine.

    Args:
        lr: highest learning rate.
        lr_batch_size: pictures per optimizer step for which lr is meant; a run with more or fewer scales it
            in proportion. Null: take lr as it is.
        weight_decay: of AdamW, on convolution and linear weights alone.
        betas: of AdamW.
        warmup_epochs: epochs over which the learning rate rises linearly; in a run that is not twice as long, a tenth
            of its steps.
        min_lr: learning rate at the end of the cosine.
        layer_decay: factor of the learning rate from each layer to the one before it (BEiT, arXiv 2106.08254),
            or null for the same everywhere; for fine-tuning from weights.
        ema_decay: of the averaged weights that are evaluated and saved, or null for none.
    """

    lr: float = 4e-3
    lr_batch_size: int | None = 4096
    warmup_epochs: int = 20
    min_lr: float = 1e-6
    layer_decay: float | None = None
    ema_decay: float | None = 0.9999


@dataclass(kw_only=True)
class PretrainConfig(RunConfig):
    """A pretraining run.

    Args:
        name: of the run's folder.
        output_dir: where the runs lie.
        overwrite: start anew in a folder that holds a run already.
        seed: of weights, order and augmentation.
        weights: folder of a pretrain run (or its encoder.safetensors) to start from, or null; the classifier
            is taken too if it has as many classes.
        model: which network.
        data: what to pretrain on.
        optim: how to minimise.
        trainer: how Lightning's Trainer runs.
    """

    name: str = "pretrain"
    model: ClassifierConfig = field(default_factory=ClassifierConfig)
    data: ImageFolderConfig = field(default_factory=ImageFolderConfig)
    optim: PretrainOptimConfig = field(default_factory=PretrainOptimConfig)
    trainer: TrainerConfig = field(default_factory=lambda: TrainerConfig(max_epochs=300, gradient_clip_val=None))
