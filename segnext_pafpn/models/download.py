"""Pretrained weights of smp and timm, fetched by huggingface_hub: without its talk, and with what to do without it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from segnext_pafpn.quiet import errors_alone

_TALKATIVE = ("huggingface_hub", "httpx", "httpcore", "urllib3")


@contextmanager
def quiet_download() -> Iterator[None]:
    """Leave out what is logged of each try, and smp's warning that timm's weights have no name."""
    with errors_alone(*_TALKATIVE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"For 'tu-' \(timm universal\) encoders, `encoder_weights`")
        yield


def describe_failure(error: Exception, encoder_name: str) -> str | None:
    """What to say of weights that could not be fetched; None for another error."""
    if not isinstance(error, ConnectionError | HfHubHTTPError | LocalEntryNotFoundError):
        return None
    local = ""
    if encoder_name.startswith("tu-"):
        local = ', give a file of them with --model.options "{pretrained_cfg_overlay: {file: FILE.safetensors}}"'
    return (
        f"the pretrained weights of '{encoder_name}' are not on this machine and could not be fetched from "
        f"the Hugging Face Hub. Train from scratch with --model.encoder_weights null{local}, or copy "
        f"~/.cache/huggingface/hub of a machine that has them (HF_HOME says where it lies)."
    )
