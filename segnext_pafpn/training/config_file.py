"""The ``config.yaml`` in a run's folder, written and read."""

from dataclasses import asdict
from pathlib import Path

import yaml

from segnext_pafpn.errors import UserError
from segnext_pafpn.files import write_atomic
from segnext_pafpn.training.config import RunConfig


def save_config(config: RunConfig, path: Path) -> None:
    """Write the resolved configuration as a YAML that ``--config`` reads again."""
    with write_atomic(path) as temporary:
        temporary.write_text(
            yaml.safe_dump(plain_values(config), sort_keys=False, allow_unicode=True), encoding="utf-8"
        )


def read_config(path: Path) -> dict:
    """What :func:`save_config` wrote into a run's folder.

    Raises:
        UserError: naming the file, if it is missing or damaged.
    """
    restore = "Restore it from a copy, or write it anew from the settings that the run was started with."
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).replace('in "<unicode string>", ', "").split())
        raise UserError(f"{path}: is not a readable configuration ({reason}). {restore}") from error
    if not isinstance(content, dict) or not isinstance(content.get("data"), dict):
        found = "nothing" if content is None else repr(content)[:40]
        raise UserError(f"{path}: expected the settings of a run, data among them, found {found}. {restore}")
    return content


def run_kind(config: dict) -> str:
    """The command that made the run of this ``config.yaml``: train or pretrain."""
    return "train" if "card" in config["data"] else "pretrain"


def plain_values(config: RunConfig) -> dict:
    """The configuration as YAML holds it."""
    return _plain(asdict(config))


def _plain(value: object) -> object:
    """Tuples to lists, all the way down: YAML's safe form has no tuples."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def run_folder(path: str | Path) -> Path:
    """The folder of the run whose folder, or whose ``model/``, is ``path``; a run may be called ``model``, too."""
    path = Path(path)
    is_bundle = path.name == "model" and not (path / "config.yaml").is_file()
    return path.parent if is_bundle else path
