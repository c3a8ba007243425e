"""The package as a whole: imports run one way, the wheel holds what it needs, nothing asks the network."""

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "segnext_pafpn"

# Lowest first; a folder imports from itself and from those before it.
LAYERS = ["layers", "models", "data", "evaluation", "inference", "training"]
MAY_IMPORT = {
    "layers": set(),
    "models": {"layers"},
    "data": set(),
    "evaluation": set(),
    "inference": {"layers", "models", "data", "evaluation"},
    "training": {"layers", "models", "data", "evaluation", "inference"},
}
ONLY_IN = {
    "segmentation_models_pytorch": {"models"},
    "timm": {"models", "training/pretrain"},  # pretraining is done with timm's toolkit: transforms, mixup, groups
    "lightning": {"training", "data/datamodule.py"},
    "albumentations": {"data/transforms.py"},
}


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("folder", LAYERS)
def test_imports_run_one_way(folder):
    for path in (PACKAGE / folder).rglob("*.py"):
        for name in imports_of(path):
            parts = name.split(".")
            if parts[0] == "segnext_pafpn" and len(parts) > 1 and parts[1] in LAYERS:
                assert parts[1] == folder or parts[1] in MAY_IMPORT[folder], f"{path} imports {name}"
            assert parts[:2] != ["segnext_pafpn", "cli"], f"{path} imports {name}"


def test_each_engine_stays_in_its_place():
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).as_posix()
        for name in imports_of(path):
            allowed = ONLY_IN.get(name.split(".")[0])
            if allowed is not None:
                assert any(f"{place}/".startswith(f"{a}/") for a in allowed), f"{place} imports {name}"


def test_every_folder_of_the_package_is_in_the_wheel():
    listed = (ROOT / "setup.cfg").read_text()
    for path in PACKAGE.rglob("__init__.py"):
        name = ".".join(path.parent.relative_to(ROOT).parts)
        assert f"\n    {name}\n" in listed, f"setup.cfg does not list {name}"


def test_an_installed_wheel_finds_configurations_and_cards(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("segnext_pafpn", "configs", "datasets"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("segnext_pafpn_program.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", tmp_path]
    command = [sys.executable, "-m", "pip", "wheel", source, *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    wheel = next(tmp_path.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "from segnext_pafpn_program import main; import segnext_pafpn, sys; "
        f"assert segnext_pafpn.__file__.startswith({str(tmp_path)!r}), segnext_pafpn.__file__; "
        "sys.exit(main(['train', '--config', 'camvid-cpu', '--data', 'streets', '--print_config']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "card: streets" in result.stdout


def test_importing_asks_the_network_nothing():
    code = (
        "import socket\n"
        "calls = []\n"
        "def refuse(*arguments, **options):\n"
        "    calls.append(arguments)\n"
        "    raise OSError('no network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from segnext_pafpn.cli import COMMANDS, load_command\n"
        "for name in COMMANDS: load_command(name)\n"
        "import segnext_pafpn.inference.run, segnext_pafpn.training.run, segnext_pafpn.training.pretrain.run\n"
        "import segnext_pafpn.models.summary, segnext_pafpn.doctor, segnext_pafpn.data.check.page\n"
        "assert not calls, calls"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_files_stay_short_enough_to_read():
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 300, f"{path} is long"
