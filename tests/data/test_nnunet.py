"""nnU-Net's data sets: nothing is written to train on them, and what is wrong with them is named."""

import json

import numpy as np
import pytest

from segnext_pafpn.data.card import load_card
from segnext_pafpn.data.check import check_split
from segnext_pafpn.data.readers import build_reader
from segnext_pafpn.errors import UserError
from tests.data.volumes import (
    SPACING,
    affine,
    labels,
    nnunet,
    nnunet_png,
    nnunet_tiff,
    save_nifti,
    write_dataset_json,
)

REGIONS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]}


def reader_of(root, **layout):
    return build_reader(load_card(str(root)), layout=layout)


def test_the_folder_is_its_own_card(tmp_path):
    nnunet(
        tmp_path / "Dataset004_Part", channels=("T1", "FLAIR"), labels={"background": 0, "b": 2, "a": 1, "ignore": 3}
    )
    card = load_card(str(tmp_path / "Dataset004_Part"))
    assert card.name == "Dataset004_Part" and card.ignore == (3,)
    assert [(row.name, row.ids) for row in card.classes] == [("background", (0,)), ("a", (1,)), ("b", (2,))]
    assert (card.image.channels, card.image.normalize) == (2, "none") and card.layout["standardize"]


def test_a_card_without_classes_takes_them_from_the_folder_and_keeps_its_own_options(tmp_path):
    nnunet(tmp_path / "data")
    (tmp_path / "mine.yaml").write_text("root: data\nname: mine\nlayout: {reader: nnunet, neighbours: 1, folds: 2}\n")
    card = load_card(str(tmp_path / "mine.yaml"))
    assert card.name == "mine" and card.class_names == ("background", "anterior", "posterior")
    reader = build_reader(card)
    assert reader.fitted(card).image.channels == 3
    assert reader.read_image(reader.list_samples("val").samples[0]).shape[2] == 3


@pytest.mark.parametrize(
    "names, ending, image",
    [
        (["CT"], ".nii.gz", ("ct", 1, False)),
        (["CT", "PET"], ".nii.gz", ("ct", 2, False)),
        (["T1", "T2"], ".nii.gz", ("none", 2, True)),
        (["noNorm"], ".tif", ("none", 1, False)),
        (["R", "G", "B"], ".png", ("imagenet", 3, False)),
        (["rescale_to_0_1"], ".png", ("rescale", 1, False)),
    ],
)
def test_channel_names_say_how_images_are_normalised(tmp_path, names, ending, image):
    write_dataset_json(tmp_path, channel_names=dict(enumerate(names)), file_ending=ending)
    card = load_card(str(tmp_path))
    assert (card.image.normalize, card.image.channels, bool(card.layout.get("standardize"))) == image


def test_overlapping_regions_become_classes_where_the_later_one_wins_and_stay_regions(tmp_path):
    nnunet(tmp_path, labels=REGIONS, regions_class_order=[1, 2, 3])
    card = load_card(str(tmp_path))
    found = [(row.name, row.ids) for row in card.classes]
    assert found == [("background", (0,)), ("whole (rest)", (1,)), ("core (rest)", (2,)), ("enhancing", (3,))]
    assert card.region_ids == {"whole": (1, 2, 3), "core": (2, 3)}
    values = {"labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3]}, "regions_class_order": [1, 2]}
    write_dataset_json(tmp_path, **values)
    card = load_card(str(tmp_path))
    assert [row.ids for row in card.classes] == [(0,), (1,), (2, 3)]
    assert card.class_names[2] == "core" and card.region_ids == {"whole": (1, 2)}


def test_a_region_is_exactly_its_classes_also_where_regions_are_not_nested(tmp_path):
    labels = {"background": 0, "a": [1, 2], "b": [2, 3], "c": [4]}
    nnunet(tmp_path, labels=labels, regions_class_order=[1, 2, 4])
    card = load_card(str(tmp_path))
    found = {row.name: row.ids for row in card.classes}
    assert found == {"background": (0,), "a (rest)": (1,), "b (in a)": (2,), "b (rest)": (3,), "c": (4,)}
    assert card.regions == {"a": ("a (rest)", "b (in a)"), "b": ("b (in a)", "b (rest)")}


def test_labels_that_are_no_regions_leave_none(tmp_path):
    nnunet(tmp_path)
    assert load_card(str(tmp_path)).regions == {}


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"labels": REGIONS}, "regions_class_order: labels are regions, so expected a list .* found None"),
        ({"labels": REGIONS, "regions_class_order": [1, 2]}, "regions_class_order"),
        ({"labels": REGIONS, "regions_class_order": [3, 2, 1]}, "3 stands for region 'whole', which keeps .*\\[1\\]"),
        (
            {"labels": {"background": 0, "core": [2], "whole": [1, 2]}, "regions_class_order": [2, 1]},
            "region 'core' lies within regions that come after it",
        ),
    ],
)
def test_regions_that_cannot_become_classes_are_told_why(tmp_path, changes, text):
    nnunet(tmp_path, cases=1, **changes)
    with pytest.raises(UserError, match=f"dataset.json: .*{text}"):
        load_card(str(tmp_path))


@pytest.mark.parametrize(
    "content, text",
    [
        ("{", "not a readable JSON file"),
        ("[]", "expected an object with channel_names, labels, numTraining, file_ending"),
        ('{"modality": {"0": "MRI"}, "labels": {"0": "x"}}', "nnUNetv2_convert_MSD_dataset"),
        ('{"channel_names": {"0": "CT"}, "labels": {"background": 0}}', "the key 'numTraining' is missing"),
        ('{"channel_name": {}, "labels": {}}', "'channel_names' is missing. Did you mean 'channel_name'"),
        (
            '{"channel_names": {"0": "CT"}, "labels": {"0": "background"}, "numTraining": 1, "file_ending": ".nii.gz"}',
            "labels: '0': expected a whole number",
        ),
        (
            '{"channel_names": {"0": "CT"}, "labels": {"background": 0}, "numTraining": 1, "file_ending": ".mha"}',
            "file_ending: '.mha' cannot be read",
        ),
    ],
)
def test_a_dataset_json_that_is_wrong_is_named(tmp_path, content, text):
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(UserError, match=f"dataset.json: .*{text}"):
        load_card(str(tmp_path))


def test_a_dataset_json_that_is_missing_is_named(tmp_path):
    with pytest.raises(UserError, match=r"is a folder, expected a card: .* a folder with nnU-Net's dataset.json"):
        load_card(str(tmp_path))
    (tmp_path / "card.yaml").write_text("root: .\nlayout: nnunet")
    with pytest.raises(UserError, match="dataset.json: no such file. Expected a data set of nnU-Net"):
        load_card(str(tmp_path / "card.yaml"))


def test_cases_are_drawn_into_five_folds_or_as_one_says(tmp_path):
    nnunet(tmp_path, cases=10)
    held_out = []
    for fold in range(5):
        reader = reader_of(tmp_path, fold=fold)
        train, val = ({s.case for s in reader.list_samples(split).samples} for split in ("train", "val"))
        assert len(val) == 2 and len(train) == 8 and not train & val
        held_out += val
    assert len(set(held_out)) == 10
    assert len({s.case for s in reader_of(tmp_path, val_fraction=0.3).list_samples("val").samples}) == 3


def test_nnunets_own_folds_are_used_where_they_are(tmp_path):
    nnunet(tmp_path)
    parts = [{"train": ["case_000", "case_001"], "val": ["case_003"]}, {"train": ["case_003"], "val": ["case_002"]}]
    (tmp_path / "splits_final.json").write_text(json.dumps(parts))
    for fold, part in enumerate(parts):
        reader = reader_of(tmp_path, fold=fold)
        for split in ("train", "val"):
            assert sorted({s.case for s in reader.list_samples(split).samples}) == part[split]
    with pytest.raises(UserError, match=r"layout.fold: expected 0 to 1, found 2"):
        reader_of(tmp_path, fold=2)
    with pytest.raises(UserError, match=r"splits_final.json says which cases"):
        reader_of(tmp_path, folds=2)
    parts[0]["val"] = ["case_077"]
    (tmp_path / "splits_final.json").write_text(json.dumps(parts))
    (problem,) = reader_of(tmp_path).list_samples("val").problems
    assert "splits_final.json: fold 0: val has the case 'case_077'" in problem
    (tmp_path / "splits_final.json").write_text("{}")
    with pytest.raises(UserError, match=r"splits_final.json: expected a list"):
        reader_of(tmp_path)


def test_labelled_test_cases_are_a_split(tmp_path):
    nnunet(tmp_path, test=2)
    assert reader_of(tmp_path, folds=2).splits() == ["train", "val"]
    for number in (4, 5):
        save_nifti(tmp_path / f"labelsTs/case_{number:03}.nii.gz", labels(number), affine(number))
    reader = reader_of(tmp_path, folds=2)
    assert reader.splits() == ["train", "val", "test"]
    assert {s.case for s in reader.list_samples("test").samples} == {"case_004", "case_005"}


@pytest.mark.parametrize("colours", [True, False])
def test_pictures_are_read_with_colours_in_one_file_or_a_file_for_each_channel(tmp_path, colours):
    nnunet_png(tmp_path, colours=colours)
    reader = reader_of(tmp_path)
    samples = reader.list_samples("train").samples
    assert len(samples) == 4 and all(s.case is None for s in samples)
    assert reader.read_image(samples[0]).shape == (40, 36, 3 if colours else 2)
    number = int(samples[0].name[-3:])
    assert np.array_equal(reader.read_mask(samples[0]), labels(number, (1, 40, 36))[0])


def test_tiff_stacks_take_their_spacing_from_the_json_beside_them(tmp_path):
    nnunet_tiff(tmp_path)
    sample = reader_of(tmp_path).list_samples("train").samples[0]
    assert sample.spacing == SPACING
    (tmp_path / f"imagesTr/{sample.case}.json").write_text('{"space": 1}')
    (problem,) = reader_of(tmp_path).list_samples("train").problems
    assert f"imagesTr/{sample.case}.json" in problem and "expected {" in problem


def test_a_missing_channel_is_named_with_the_file_that_was_expected(tmp_path):
    nnunet(tmp_path, channels=("T1", "T2"))
    (tmp_path / "imagesTr/case_002_0001.nii.gz").unlink()
    problems = [p for split in ("train", "val") for p in reader_of(tmp_path, folds=2).list_samples(split).problems]
    assert len(problems) == 1 and "imagesTr/case_002_0001.nii.gz" in problems[0]


def test_a_picture_with_too_few_channels_is_named(tmp_path):
    nnunet_png(tmp_path)
    write_dataset_json(tmp_path, channel_names={"0": "a", "1": "b"}, file_ending=".png", numTraining=5)
    reader = reader_of(tmp_path)
    with pytest.raises(UserError, match=r"_0000.png: 3 channels in 1 file\(s\), expected the 2 of channel_names"):
        reader.read_image(reader.list_samples("train").samples[0])


def test_a_label_that_dataset_json_does_not_name_is_found_by_the_check(tmp_path):
    nnunet(tmp_path)
    wrong = labels(1)
    wrong[4, 3, 2] = 9
    save_nifti(tmp_path / "labelsTr/case_001.nii.gz", wrong, affine(1))
    card = load_card(str(tmp_path))
    reports = [check_split(card, build_reader(card, layout={"folds": 2}), split) for split in ("train", "val")]
    (problem,) = [line for report in reports for line in report.problems]
    assert problem.startswith(f"{tmp_path}/labelsTr/case_001.nii.gz slice 4: the values [9] are not among the labels")
    assert "dataset.json (known: 0-2)" in problem


def test_a_wrong_number_of_cases_is_a_warning(tmp_path):
    nnunet(tmp_path)
    write_dataset_json(tmp_path, numTraining=7)
    listing = reader_of(tmp_path, folds=2).list_samples("train")
    assert not listing.problems and "numTraining is 7, but imagesTr has 4 cases" in listing.warnings[0]


def test_a_channel_that_dataset_json_does_not_name_is_a_warning(tmp_path):
    nnunet(tmp_path, channels=("T1", "T2"))
    assert not reader_of(tmp_path, folds=2).list_samples("train").warnings
    write_dataset_json(tmp_path)
    (warning,) = reader_of(tmp_path, folds=2).list_samples("train").warnings
    assert "_0001.nii.gz: is not used, as channel_names in" in warning and "has 1 channel alone" in warning


def test_options_that_dataset_json_decides_are_refused(tmp_path):
    nnunet(tmp_path)
    with pytest.raises(UserError, match="reader 'nnunet' has no option 'images'"):
        reader_of(tmp_path, images="x")
