"""Options and configurations that users get wrong: one line in plain words, exit code 2, and no traceback."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from segnext_pafpn.cli import main

JARGON = re.compile(r"class '|typing|Union|Subtypes|NoneType|Namespace|unicode string|Parser key|dot import|Got value")


def error_of(capsys, arguments):
    assert main(list(map(str, arguments))) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert not JARGON.search(captured.err), captured.err
    return captured.err.strip()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("optim.lr", "fast", "optim.lr: expected a number, found fast."),
        ("seed", "x", "seed: expected a whole number, found x."),
        ("trainer.max_epochs", "3.5", "trainer.max_epochs: expected a whole number, found 3.5."),
        ("data.check", "maybe", "data.check: expected true or false, found maybe."),
        ("data.cache", "rom", "data.cache: expected none, ram or disk, found rom. Did you mean 'ram'?"),
        ("trainer.limit_train_batches", "0.5", "expected a whole number or null, found 0.5."),
        ("loss.class_weights", "inversee", "effective_number or null, found inversee. Did you mean 'inverse'?"),
        ("data.crop_size", "64,96", 'found 64,96. Write --data.crop_size "[64, 96]".'),
        ("data.crop_size", "[64]", 'found [64]. Write --data.crop_size "[64, 64]".'),
        ("data.crop_size", "[64, x]", "data.crop_size: expected a whole number, found x."),
        ("data.image_size", "abc", "data.image_size: expected two numbers in brackets, found abc."),
        ("optim", "3", "optim: expected a mapping, found 3. Set what is in it, as with --optim.lr VALUE."),
        ("data.augment", "{scale: 3}", 'data.augment.scale: expected two numbers in brackets, found 3. Write'),
        ("data.crop_focus", "{probability: x}", "data.crop_focus.probability: expected a number, found x."),
        ("data.intensity", "3", "data.intensity: expected a mapping or null, found 3."),
        ("data.intensity", "{channels: 1}", "data.intensity: the following arguments are required: method."),
        ("data.num_workers", "-1", "data.num_workers: must be 0 or more (or null), found -1."),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_told_in_words(capsys, option, value, words):
    assert words in error_of(capsys, ["train", f"--{option}={value}"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--optim.lr"], "--optim.lr: expected a value after it."),
        (["models", "--size", "3"], "--size: expected 2 values after it."),
        (["models", "--size", "a", "b"], "size: expected a whole number, found a."),
        (["train", "--lr", "0.1"], "unknown option '--lr'. Did you mean '--optim.lr'?"),
        (["train", "--epochs", "3"], "unknown option '--epochs'. Did you mean --trainer.max_epochs?"),
        (["train", "--fold", "3"], "unknown option '--fold'. Did you mean --data.layout \"{fold: 0}\"?"),
        (["train", "--imgsz=640"], "option '--imgsz=640'. Did you mean --data.crop_size \"[512, 512]\"?"),
        (["val", "--model", "runs/a"], "unknown option '--model'. Did you mean --checkpoint?"),
        (["predict", "--source", "a.jpg"], "unknown option '--source'. Did you mean --input?"),
        (["predict", "--imgsz", "640"], "unknown option '--imgsz'. See --help for all of them."),
        (
            ["train", "data=data.yaml"],
            "'data=data.yaml': options have dashes in front of them. Write --data data.yaml.",
        ),
        (["train", "fold=1"], "'fold=1': options have dashes in front of them. Write --data.layout \"{fold: 0}\"."),
        (["train", "model=a.pt"], "'model=a.pt': options have dashes in front of them. See --help for all of them."),
        (["train", "epochs=3"], "'epochs=3': options have dashes in front of them. Write --trainer.max_epochs 3."),
        (["train", "--optim.learning_rate", "1"], "option '--optim.learning_rate'. Did you mean --optim.lr?"),
        (["train", "--trainer.device", "2"], "option '--trainer.device'. Did you mean '--trainer.devices'?"),
        (["train", "--save-dir", "x"], "unknown option '--save-dir'. Did you mean --output_dir?"),
        (["models", "--fold", "3"], "unknown option '--fold'. See --help for all of them."),
        (["train", "-c", "camvid"], "unknown option '-c'. See --help for all of them."),
    ],
)
def test_an_option_that_is_unknown_or_has_no_value_is_told(capsys, arguments, words):
    assert words in error_of(capsys, arguments)


@pytest.mark.parametrize("command", ["train", "check"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"optim: [", "mine.yaml: is not a readable configuration (while parsing a flow node expected"),
        (b"optim:\n\tlr: 1\n", "mine.yaml: is not a readable configuration (while scanning for the next token"),
        (b"\xe0\x00\xff", "mine.yaml: is not a readable configuration ("),
        (b"- a\n", "mine.yaml: expected a configuration, such as 'optim: {lr: 0.001}', found ['a']."),
        (b"", "mine.yaml: expected a configuration, such as 'optim: {lr: 0.001}', found nothing."),
        (b"hello", "mine.yaml: expected a configuration, such as 'optim: {lr: 0.001}', found 'hello'."),
        (b"optim: 3\n", "mine.yaml: optim: expected a mapping, as in 'optim: {lr: ...}', found 3."),
        (b"trainer: {max_epochs: many}\n", "trainer.max_epochs: expected a whole number, found many."),
    ],
)
def test_a_file_that_is_no_configuration_is_told_by_its_name(capsys, tmp_path, command, content, words):
    (tmp_path / "mine.yaml").write_bytes(content)
    assert words in error_of(capsys, [command, "--config", tmp_path / "mine.yaml"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--optim.lrr", "1"],
        ["train", "--config", "camvid", "--optim.lr", "fast"],
        ["train", "--config", "nowhere"],
        ["train", "--resume", "nowhere"],
        ["check", "--data.crop_size", "64"],
        ["val", "--chekpoint", "x"],
        ["predict", "--checkpoint", "x"],
        ["compare", "a"],
    ],
)
def test_what_is_wrong_with_options_is_told_without_waiting_for_torch(tmp_path, arguments):
    lines = (
        "import sys",
        "from segnext_pafpn_program import main",
        f"assert main({arguments}) == 2",
        "heavy = {'torch', 'lightning', 'timm', 'segmentation_models_pytorch', 'albumentations'} & sys.modules.keys()",
        "assert not heavy, heavy",
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", "\n".join(lines)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
