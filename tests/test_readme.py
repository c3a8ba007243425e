"""Every command and every snippet of the README runs, in a folder that looks as it says; so do those in Python."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import SMALL_RUN, run_cli, run_together, write_pair
from tests.data.layouts import make_camvid

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYTHON = (ROOT / "docs/python.md").read_text()
SMALLER = {
    "train": [
        *SMALL_RUN, "--trainer.max_epochs=1", "--trainer.check_val_every_n_epoch=1", "--trainer.limit_train_batches=2",
        "--trainer.limit_val_batches=1", "--data.samples_per_epoch=8",
    ],
    "val": ["--trainer.accelerator=cpu", "--trainer.limit_val_batches=1"],
    "predict": ["--device=cpu"],
}  # fmt: skip


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


SNIPPETS = blocks("python") + blocks("python", PYTHON)


def commands() -> list[str]:
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What a reader has after following the README so far: CamVid, own data with a card, and some photographs."""
    path = tmp_path_factory.mktemp("readme")
    make_camvid(path / "data/camvid")
    for split, count in (("train", 4), ("val", 2)):
        for i in range(count):
            write_pair(path / "my-data", split, f"{split}{i}", seed=i)
            write_pair(path, "photos", f"{split}{i}", seed=i)
    (path / "images/photos").rename(path / "photos")
    card = next(block for block in blocks("yaml") if "classes:" in block)
    (path / "my-data.yaml").write_text(card)
    (path / "train_seg.py").write_text((ROOT / "train_seg.py").read_text())
    (path / "predict_seg.py").write_text((ROOT / "predict_seg.py").read_text())
    return path


def test_readme_commands_run_in_their_order(folder):
    together, count = [], 0
    for command in commands():
        words = shlex.split(command)
        if words[:2] == ["python", "train_seg.py"]:
            words = ["segnext-pafpn", "train", *words[2:]]
        if words[:2] == ["python", "predict_seg.py"]:
            words = ["segnext-pafpn", "predict", *words[2:]]
        if words[0] != "segnext-pafpn":
            assert words[0] in ("make", "pip", "git", "cd", "python"), f"untested command: {command}"
            continue
        smaller = [a for a in SMALLER.get(words[1], []) if "--model.arch" not in words or not a.startswith("--model")]
        count += 1
        if "--trainer.strategy" not in words:
            together.append([*words[1:], *smaller])
            continue
        run_together(folder, *together)  # so far; several processes are started by the command line's own name
        together = []
        assert run_cli(*words[1:], *smaller, cwd=folder).returncode == 0, command
    run_together(folder, *together)
    assert count >= 6


def test_make_targets_in_the_readme_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {line.split()[1] for line in commands() if line.startswith("make ")} <= targets


# What the snippets import besides this package is imported once, which takes long; each then runs in a fork of its own.
FORKS = """
import json, os, sys, traceback
import albumentations, lightning, segmentation_models_pytorch, timm, torchmetrics
for number, code in enumerate(json.load(sys.stdin)):
    if not (child := os.fork()):
        try:
            exec(compile(code, f"snippet {number}", "exec"), {"__name__": "__main__"})
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, code
"""


def test_snippets_run(folder):
    if not (folder / "runs/quickstart").exists():
        arguments = ["train", "--config", "quickstart", *SMALLER["train"], "--data.check", "false"]
        run_together(folder, arguments)
    assert len(SNIPPETS) > 5
    command = [sys.executable, "-c", FORKS]
    result = subprocess.run(
        command, input=json.dumps(SNIPPETS), capture_output=True, text=True, cwd=folder, check=False
    )
    assert result.returncode == 0, result.stderr


def test_links_and_pictures_in_the_readme_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_the_card_in_the_readme_is_a_card(folder):
    assert yaml.safe_load((folder / "my-data.yaml").read_text())["layout"]["reader"] == "folder"


def test_tables_in_the_readme_and_in_docs_are_those_of_the_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from tables import PAGES, with_tables

    assert len(PAGES) > 3
    for page in PAGES:
        assert with_tables(page.read_text()) == page.read_text(), page
