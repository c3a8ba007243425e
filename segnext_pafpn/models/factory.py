"""A network from its configuration: ours or any of segmentation_models_pytorch, by name."""

import inspect
import logging

import segmentation_models_pytorch as smp
from segmentation_models_pytorch.base import SegmentationModel

from segnext_pafpn.errors import UserError, nearest
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.download import describe_failure, quiet_download
from segnext_pafpn.models.encoder import unknown_encoder
from segnext_pafpn.models.init_from import init_from

log = logging.getLogger(__name__)


def build_model(config: ModelConfig, classes: int, in_channels: int = 3) -> SegmentationModel:
    """Build the network, its logits ``classes`` wide, for images of ``in_channels``.

    Where they are not three, smp sums or repeats the first convolution of pretrained weights over its channels.

    Raises:
        UserError: naming an unknown architecture, encoder, option or set of weights, or a source that does not fit.
    """
    check_model(config)
    try:
        with quiet_download():
            model = smp.create_model(
                config.arch,
                encoder_name=config.encoder_name,
                encoder_weights=config.encoder_weights,
                in_channels=in_channels,
                classes=classes,
                **config.options,
            )
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        reason = describe_failure(error, config.encoder_name) or (error.args[0] if error.args else error)
        raise UserError(f"model: {config.arch} with encoder {config.encoder_name}: {reason}") from error
    if config.init_from is not None:
        log.info(init_from(model, config.init_from).summary())
    return model


def check_model(config: ModelConfig) -> None:
    """Refuse an unknown architecture, encoder or option, without building anything.

    Raises:
        UserError: naming it.
    """
    known = smp.MODEL_ARCHITECTURES_MAPPING
    if config.arch.lower() not in known:
        raise UserError(
            f"model.arch: '{config.arch}' is not known.{nearest(config.arch.lower(), known)} Known: {', '.join(known)}."
        )
    check_encoder_name(config.encoder_name)
    _check_options(config, known[config.arch.lower()])


def check_encoder_name(name: str) -> None:
    """Raise a UserError that names the nearest known encoder, unless smp or timm has this one."""
    if (unknown := unknown_encoder(name)) is not None:
        raise UserError(f"model.encoder_name: {unknown}")


def _check_options(config: ModelConfig, architecture: type[SegmentationModel]) -> None:
    """smp drops unknown arguments in silence, unless the encoder is one of timm, which checks its own."""
    known = [name for name in inspect.signature(architecture.__init__).parameters if name not in ("self", "kwargs")]
    fixed = ("encoder_name", "encoder_weights", "in_channels", "classes")
    without_use = {
        "activation": "the losses and the masks are made from logits",
        "aux_params": "labels of whole images are not trained here",
    }
    for name, value in config.options.items():
        if name in without_use and value is not None:
            raise UserError(f"model.options.{name}: found {value!r}, expected null: {without_use[name]}. Leave it out.")
        if name in fixed:
            raise UserError(
                f"model.options.{name}: is not set here: classes and channels follow from the card, the rest "
                f"stands in model."
            )
        if name not in known and not config.encoder_name.startswith("tu-"):
            raise UserError(
                f"model.options.{name}: {config.arch} has no such argument.{nearest(name, known)} "
                f"Known: {', '.join(k for k in known if k not in (*fixed, *without_use))}."
            )
