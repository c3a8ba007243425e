"""Everything a run is made from. The YAML files of ``configs/`` hold these fields."""

from dataclasses import dataclass, field, fields
from pathlib import Path

from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.files import expand_home
from segnext_pafpn.inference.config import PRECISIONS
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.training.loss_config import LossConfig


@dataclass(kw_only=True)
class TrainerConfig:
    """How Lightning's Trainer runs; the names are Lightning's.

    Args:
        accelerator: auto, cpu, gpu, mps.
        devices: how many devices, one process each; -1 for all.
        num_nodes: how many machines.
        strategy: auto, or one of Lightning's that start the program once for each device (ddp, ...).
        precision: 32-true, bf16-mixed or 16-mixed; a run on a device without instructions for it says so.
        max_epochs: how long; or -1 and max_steps.
        max_steps: how many optimizer steps; -1 for no limit but max_epochs.
        check_val_every_n_epoch: epochs between evaluations.
        accumulate_grad_batches: batches per optimizer step, whose gradient is their mean; the last of an epoch may have
            fewer.
        gradient_clip_val: largest norm of the gradient, or null for no clipping.
        limit_train_batches: batches per epoch, or null for all; to try things out.
        limit_val_batches: batches per evaluation, or null for all; to try things out.
        log_every_n_steps: steps between rows of the logs.
        sync_batchnorm: share BatchNorm's statistics between GPUs.
        deterministic: refuse operations that are not reproducible.
        channels_last: memory layout of images and weights; faster on GPUs and often on CPUs.
        benchmark: try cuDNN's algorithms at the first batch of each size and take the fastest, which takes networks of
            many different convolutions a minute; else it takes those that it expects to be fast.
        compile: compile the network with torch.compile.
        cuda_graphs: record the first step of the network and replay it, so that its kernels need not be launched one
            by one; for small networks, or batches, on one GPU. Experimental: its speed has not been measured yet.
    """

    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"
    max_epochs: int = 50
    max_steps: int = -1
    check_val_every_n_epoch: int = 1
    accumulate_grad_batches: int = 1
    gradient_clip_val: float | None = 1.0
    limit_train_batches: int | None = None
    limit_val_batches: int | None = None
    log_every_n_steps: int = 10
    sync_batchnorm: bool = True
    deterministic: bool = False
    channels_last: bool = False
    benchmark: bool = False
    compile: bool = False
    cuda_graphs: bool = False


def check_seed(seed: int) -> None:
    """Refuse a number that is no seed for all that draws: torch's, numpy's and Python's generators.

    Raises:
        UserError: if it is not.
    """
    if not 0 <= seed < 2**32:
        raise UserError(f"seed: found {seed}, expected 0 to {2**32 - 1}.")


def check_trainer(config: TrainerConfig) -> None:
    """Refuse numbers and a precision that cannot be.

    Raises:
        UserError: naming the key.
    """
    for key, besides, words in (
        ("devices", -1, ", or -1 for all"),
        ("num_nodes", 1, ""),
        ("max_epochs", -1, ", or -1 for no limit but max_steps"),
        ("max_steps", -1, ", or -1 for no limit but max_epochs"),
        ("check_val_every_n_epoch", 1, ""),
        ("accumulate_grad_batches", 1, ""),
        ("limit_train_batches", None, ", or null for all"),
        ("limit_val_batches", None, ", or null for all"),
        ("log_every_n_steps", 1, ""),
    ):
        value = getattr(config, key)
        if value != besides and value < 1:
            raise UserError(f"trainer.{key}: found {value}, expected at least 1{words}.")
    if config.precision not in PRECISIONS:
        hint = nearest(config.precision, PRECISIONS)
        raise UserError(f"trainer.precision: '{config.precision}' is not known.{hint} Known: {', '.join(PRECISIONS)}.")
    clip = config.gradient_clip_val
    if clip is not None and not 0 < clip < float("inf"):
        raise UserError(f"trainer.gradient_clip_val: found {clip}, expected more than 0, or null for no clipping.")
    if config.deterministic and config.benchmark:
        raise UserError("trainer.benchmark: does not go with trainer.deterministic: true. Set one of the two to false.")
    if config.cuda_graphs:
        for key, value in (("compile", False), ("accumulate_grad_batches", 1), ("devices", 1), ("num_nodes", 1)):
            if getattr(config, key) != value:
                found, needed = str(getattr(config, key)).lower(), str(value).lower()
                raise UserError(
                    f"trainer.cuda_graphs: does not go with trainer.{key}: {found}. Set trainer.cuda_graphs to false, "
                    f"or trainer.{key} to {needed}."
                )
    if config.max_epochs == config.max_steps == -1:
        raise UserError("trainer: max_epochs and max_steps are both -1, so the run would never end. Set one of them.")


@dataclass(kw_only=True)
class AdamWConfig:
    """How every run minimises: AdamW, linear warmup, cosine, averaged weights.

    Args:
        lr: highest learning rate.
        weight_decay: of AdamW, on convolution and linear weights alone.
        betas: of AdamW.
        min_lr: learning rate at the end of the cosine.
        ema_decay: of the averaged weights that are evaluated and saved, or null for none.
    """

    lr: float
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    min_lr: float = 0.0
    ema_decay: float | None = 0.999


@dataclass(kw_only=True)
class OptimConfig(AdamWConfig):
    """How to minimise.

    Args:
        lr: highest learning rate.
        weight_decay: of AdamW, on convolution and linear weights alone.
        betas: of AdamW.
        warmup_steps: optimizer steps over which the learning rate rises linearly; in a run that is not twice as long,
            a tenth of its steps.
        min_lr: learning rate at the end of the cosine.
        ema_decay: of the averaged weights that are evaluated and saved, or null for none.
    """

    lr: float = 1e-3
    warmup_steps: int = 50


@dataclass(kw_only=True)
class RunConfig:
    """What every run has. The classes that inherit from this one add the rest, ``optim`` and ``trainer`` among it.

    Args:
        name: of the run's folder.
        output_dir: where the runs lie.
        overwrite: start anew in a folder that holds a run already.
        seed: of weights, order and augmentation.
        weights: what to start from, or null.

    Raises:
        UserError: for a name that leads out of output_dir, or a number that is no seed.
        TypeError: for settings in a dictionary.
    """

    name: str
    output_dir: str = "runs"
    overwrite: bool = False
    seed: int = 0
    weights: str | None = None

    def __post_init__(self) -> None:
        for part in fields(self):
            if isinstance(getattr(self, part.name), dict):
                raise TypeError(
                    f"{part.name}: found a dictionary, expected an object of its class; load_config makes one of "
                    f'settings such as {{"{part.name}.KEY": VALUE}}.'
                )
        if self.name in ("", ".", "..") or "/" in self.name or "\\" in self.name:
            raise UserError(
                f"name: '{self.name}' is no name of a folder in output_dir ({self.output_dir}). Give one without "
                f"slashes, and with --output_dir where it is to lie."
            )
        check_seed(self.seed)
        self.output_dir = expand_home(str(self.output_dir))
        self.weights = None if self.weights is None else expand_home(str(self.weights))

    @property
    def run_dir(self) -> Path:
        """The run's folder."""
        return Path(self.output_dir) / self.name


@dataclass(kw_only=True)
class TrainConfig(RunConfig):
    """A run.

    Args:
        name: of the run's folder.
        output_dir: where the runs lie.
        overwrite: start anew in a folder that holds a run already.
        seed: of weights, order and augmentation.
        weights: folder of a run (or its model/) whose weights to start from, folder of a pretrain run (or its
            encoder.safetensors) whose encoder to start from, or null.
        model: which network.
        data: what to train and evaluate on.
        loss: what to minimise.
        optim: how to minimise.
        trainer: how Lightning's Trainer runs.
    """

    name: str = "train"
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
