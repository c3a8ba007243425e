"""The numbers of the check are those of the files, and no way of the readers to write things down."""

import json

import numpy as np
import yaml
from PIL import Image

from segnext_pafpn.cli import main
from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_data, check_split, check_values
from segnext_pafpn.data.check.page import write_check_page
from segnext_pafpn.data.check.table import volume_rows
from segnext_pafpn.data.readers import build_reader
from tests.conftest import write_card
from tests.data.layouts import SIZE, blocks, build, photo, save
from tests.data.problems import TWO, checked_card, only
from tests.data.scans import scans
from tests.data.volumes import SHAPE, affine, intensities, labels, save_nifti
from tests.strict_html import read_page
from tests.training.eyes import write_eyes


def checked(card, root=None, splits=("train",)):
    reader = build_reader(card, root)
    card = reader.fitted(card)
    reports = [check_split(card, reader, split, details=True) for split in splits]
    return check_data(card, reports, []), reader


def page_of(found, reader, tmp_path):
    write_check_page(found, reader, tmp_path / "check.html")
    return read_page(tmp_path / "check.html")


def test_pixels_outside_a_valid_region_are_called_ignored_and_no_id(tmp_path):
    card = build("drive", tmp_path)
    found, reader = checked(card, str(tmp_path / "drive"))
    page = page_of(found, reader, tmp_path)
    assert "0, 1, ignored" in page.text and "65535" not in page.text and "uint16" not in page.text
    (split,) = check_values(found)["splits"]
    assert set(split["raw_ids"]) == {"0", "1"} and split["ignored_pixels"] > 0
    assert split["mask_kinds"] == {f"GIF {Image.open(next((tmp_path / 'drive').rglob('*.gif'))).mode}, 1 x uint8": 5}


def test_ignored_pixels_are_hatched_and_in_the_legend(dataset, tmp_path):
    found, reader = checked(load_card(str(dataset / "card.yaml")))
    assert "ignored" not in page_of(found, reader, tmp_path).text.split("Pictures and masks")[1]
    for path in (dataset / "masks/train").iterdir():
        Image.fromarray(np.full((48, 64), 255, np.uint8)).save(path)
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(path)
    found, reader = checked(load_card(str(dataset / "card.yaml")))
    page = page_of(found, reader, tmp_path)
    assert "ignored" in page.text.split("Pictures and masks")[1]
    assert set(np.asarray(page.images[1].convert("L")).ravel().tolist()) == {170, 255}


def test_the_last_of_overlapping_classes_is_on_top_and_black_is_no_class(tmp_path):
    card = load_card(str(write_eyes(tmp_path)))
    found, reader = checked(card)
    page = page_of(found, reader, tmp_path)
    layers = reader.read_layers(reader.list_samples("train").samples[0])
    expected = np.zeros((*layers.shape[1:], 3), np.uint8)
    for layer, color in zip(layers, card.class_colors, strict=True):
        expected[layer == 1] = color
    assert np.array_equal(np.asarray(page.images[1].convert("RGB")), expected)
    assert check_values(found)["splits"][0]["raw_ids"] == {}


def test_a_volume_of_four_axes_is_no_file_without_a_partner(tmp_path):
    card = load_card(str(scans(tmp_path, divide="volumes")))
    for number in range(4):
        save_nifti(tmp_path / f"images/p{number}.nii.gz", np.zeros((2, *SHAPE), np.int16))
    report = check_split(card, build_reader(card), "train")
    assert report.problems and report.num_unpaired == 0
    save_nifti(tmp_path / "masks/q.nii.gz", labels(0))
    assert check_split(card, build_reader(card), "train").num_unpaired == 1


def test_files_without_a_partner_are_counted_and_nothing_else(dataset):
    card = load_card(str(dataset / "card.yaml"))
    (dataset / "masks/train/t0.png").unlink()
    (dataset / "images/train/t1.png").unlink()
    assert check_split(card, build_reader(card), "train").num_unpaired == 2
    (dataset / "train.txt").write_text("t2\nt3\nnowhere\n")
    layout = {"reader": "folder", "images": "images/train", "masks": "masks/train", "lists": "{split}.txt"}
    card = load_card(str(write_card(dataset, layout=layout)))
    report = check_split(card, build_reader(card), "train")
    assert len(report.problems) == 1 and report.num_unpaired == 0


def test_volumes_are_counted_with_their_slices_and_spacing(capsys, tmp_path):
    path = scans(tmp_path)
    for number, (cut, spacing) in enumerate(((7, (2.5, 0.5, 0.5)), (12, (3.0, 0.5, 0.75)))):
        truth = labels(number)[:cut]
        for folder, volume in (("images", intensities(truth, number)), ("masks", truth)):
            for name in (f"p{2 * number}", f"p{2 * number + 1}"):
                save_nifti(tmp_path / f"{folder}/{name}.nii.gz", volume, affine(0, spacing))
    (tmp_path / "train.txt").write_text("p0\np1\np2\n")
    (tmp_path / "val.txt").write_text("p3\n")
    layout = {"reader": "volumes", "images": "images", "masks": "masks", "lists": "{split}.txt"}
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "layout": layout}))
    outputs = ["--json", str(tmp_path / "c.json"), "--html", str(tmp_path / "c.html")]
    assert main(["check", "--data", str(path), *outputs]) == 0
    said = capsys.readouterr().out, read_page(tmp_path / "c.html").text
    said = [" ".join(text.replace("│", " ").split()) for text in said]
    assert "slices 26 12" in said[0]
    for text in said:
        assert "7 to 12" in text and "2.5 to 3, 0.5, 0.5 to 0.75" in text
    train, val = json.loads((tmp_path / "c.json").read_text())["splits"]
    assert train["volumes"]["slices"] == {"p0": 7, "p1": 7, "p2": 12} and train["volumes"]["count"] == 3
    np.testing.assert_allclose(train["volumes"]["spacing_mm"], [[2.5, 3], [0.5, 0.5], [0.5, 0.75]], rtol=1e-5)
    np.testing.assert_allclose(val["volumes"]["spacing_mm"], [[3, 3], [0.5, 0.5], [0.75, 0.75]], rtol=1e-5)


def test_pictures_have_no_row_of_volumes_and_stacks_without_spacing_say_unknown(dataset, tmp_path):
    found, _ = checked(load_card(str(dataset / "card.yaml")))
    assert volume_rows(found.splits) == [] and check_values(found)["splits"][0]["volumes"] is None
    found, _ = checked(load_card(str(scans(tmp_path / "stacks", ending=".npy"))))
    assert [row[1] for row in volume_rows(found.splits)] == ["2", "12", "unknown"]
    assert check_values(found)["splits"][0]["volumes"]["spacing_mm"] is None


def test_a_picture_without_any_of_several_labels_counts_like_the_others(tmp_path):
    for i in range(4):
        photo(tmp_path / f"images/{i}.png", seed=i)
        for k, name in enumerate(("disc", "cup")):
            save(tmp_path / f"masks/{i}_{name}.png", np.uint8(255) * (blocks(i, [0, 1, 2]) == k + 1) * (i != 1))
    layout = {"reader": "folder", "images": "images", "masks": "masks", "mask_format": "files"}
    layout["class_suffixes"] = {"disc": "_disc", "cup": "_cup"}
    card = write_card(tmp_path, classes=[{"name": "disc"}, {"name": "cup"}], multi_label=True, layout=layout)
    report = checked_card(card)
    assert len(report.holds) == report.num_samples == 4 and not report.holds[1].any()
    assert report.num_labelled == 4 * SIZE[0] * SIZE[1] and report.empty == [f"{tmp_path}/masks/1_disc.png"]


def test_the_highest_id_may_be_a_class_beside_pixels_that_do_not_count(tmp_path):
    for i in range(2):
        photo(tmp_path / f"images/{i}.png", seed=i)
        save(tmp_path / f"masks/{i}.png", np.uint16(65535) * blocks(i, [0, 1]).astype(np.uint16))
        save(tmp_path / f"valid/{i}.png", 100 * blocks(i, [0, 1, 1]))
    classes = [{"name": "no", "ids": [0]}, {"name": "yes", "ids": [65535]}]
    layout = {"reader": "folder", "images": "images", "masks": "masks", "valid": "valid"}
    card = write_card(tmp_path, classes=classes, layout=layout)
    report = checked_card(card)
    inside = np.stack([blocks(i, [0, 1, 1]) for i in range(2)]) == 1
    truth = np.stack([blocks(i, [0, 1]) for i in range(2)])
    assert report.problems == [] and report.pixels[1] == (inside & (truth == 1)).sum()
    assert report.pixels[2] == (~inside).sum()
    only(checked_card(write_card(tmp_path, classes=TWO, layout=layout)).problems[:1], "value 65535 is not in the card")


def test_colours_of_a_palette_say_what_two_tones_mean(tmp_path):
    for i in range(2):
        photo(tmp_path / f"images/{i}.png", seed=i)
        tones = blocks(i, [0, 1])
        mask = Image.fromarray(tones if i else np.uint8(255) * tones, mode="P" if i else "L")
        if i:
            mask.putpalette([0, 0, 0, 255, 255, 255])
        (tmp_path / "masks").mkdir(exist_ok=True)
        mask.save(tmp_path / f"masks/{i}.png")
    layout = {"reader": "folder", "images": "images", "masks": "masks", "mask_format": "binary", "threshold": 127}
    report = checked_card(write_card(tmp_path, classes=TWO, layout=layout))
    assert report.pixels[1] == sum((blocks(i, [0, 1]) == 1).sum() for i in range(2)) and not report.empty
