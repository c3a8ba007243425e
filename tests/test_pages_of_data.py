"""datasets/README.md and docs/metrics.md: what they say beside their commands holds, too."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import yaml

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.readers import READERS, build_reader
from tests.conftest import SMALL_RUN, run_together
from tests.data.layouts import blocks, build, photo, save

ROOT = Path(__file__).parent.parent
README = (ROOT / "datasets/README.md").read_text()
METRICS = (ROOT / "docs/metrics.md").read_text()
STEPS = [
    *SMALL_RUN, "--data.crop_size=[32, 32]", "--data.val_batch_size=2", "--data.samples_per_epoch=4",
    "--trainer.max_epochs=1", "--trainer.limit_val_batches=1",
]  # fmt: skip


@pytest.mark.parametrize("name", sorted(READERS.keys() - {"synthetic"}))  # which is for the built-in ones
def test_every_option_of_a_reader_is_on_the_page(name):
    shown = set(re.findall(r"`(\w+)`", README))
    assert {field.name for field in fields(READERS[name]) if field.init} - {"root", "card"} <= shown


def test_the_card_on_the_page_is_a_card_and_fits_its_folders(tmp_path):
    (text,) = [block for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if "name: my-data" in block]
    (tmp_path / "my-data.yaml").write_text(text)
    for split in ("train", "val"):
        photo(tmp_path / f"my-data/images/{split}/a.png", seed=1)
        save(tmp_path / f"my-data/masks/{split}/a.png", blocks(1, [0, 1, 2, 255]))
    card = load_card(str(tmp_path / "my-data.yaml"))
    report = check_split(card, build_reader(card), "train")
    assert report.problems == [] and (report.pixels > 0).all()


def test_cities_and_coarse_pictures_of_cityscapes_are_trained_on_as_the_page_says(tmp_path):
    said = re.findall(r"`(--data\.layout .*?)`", README.replace("\n", " "))
    cities, coarse = (shlex.split(text) for text in said)
    assert cities[1] == "{cities: [aachen, bremen]}" and coarse[2:] == ["--data.train_split", "train_extra"]
    cities[1] = "{cities: [aachen, lindau]}"  # one of train, one of val
    build("cityscapes", tmp_path)
    common = ["train", "--data", "cityscapes", "--data.root", str(tmp_path / "cityscapes"), *STEPS]
    run_together(
        tmp_path, *([*common, *words, "--name", name] for name, words in (("cities", cities), ("coarse", coarse)))
    )
    saved = yaml.safe_load((tmp_path / "runs/coarse/config.yaml").read_text())["data"]
    assert saved["train_split"] == "train_extra" and saved["layout"] == {"annotations": "gtCoarse"}
    assert yaml.safe_load((tmp_path / "runs/cities/config.yaml").read_text())["data"]["layout"]["cities"][0] == "aachen"


def test_the_card_and_commands_for_several_labels_per_pixel_run(tmp_path):
    (text,) = re.findall(r"```yaml\n# eyes.yaml\n(.*?)```", METRICS, re.DOTALL)
    (tmp_path / "eyes.yaml").write_text(text)
    for split in ("train", "val"):
        for i in range(3):
            photo(tmp_path / f"eyes/images/{split}/{i}.png", seed=i)
            photo(tmp_path / f"photos/{i}.png", seed=i)
            disc = blocks(i, [0, 1, 2])
            save(tmp_path / f"eyes/masks/{split}/{i}_disc.png", np.uint8(255) * (disc > 0))
            if i:
                save(tmp_path / f"eyes/masks/{split}/{i}_cup.png", np.uint8(255) * (disc > 1))
    blocks_of_commands = re.findall(r"```bash\n(.*?)```", METRICS, re.DOTALL)
    (lines,) = [block for block in blocks_of_commands if "eyes.yaml" in block]
    commands = [shlex.split(line)[1:] for line in lines.splitlines()]
    more = {"train": STEPS, "val": ["--trainer.accelerator=cpu"], "predict": ["--device=cpu"]}
    run_together(tmp_path, *([*words, *more[words[0]]] for words in commands))
    for name in ("disc", "cup"):
        assert len(list((tmp_path / f"masks/{name}").glob("*.png"))) == 3
