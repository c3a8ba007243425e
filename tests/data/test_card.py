"""Cards: what is read, and what is refused with which words."""

import pytest
import yaml
from cityscapesscripts.helpers.labels import labels as city_labels

from segnext_pafpn.data.card import load_card, shipped_cards
from segnext_pafpn.data.labels import LabelMap
from segnext_pafpn.errors import UserError

GOOD = {
    "classes": [{"name": "cell", "color": [1, 2, 3], "ids": [0, 7]}, {"name": "wall", "ids": [255]}],
    "ignore": [9],
    "root": "pictures",
    "layout": {"reader": "folder"},
}


def write(tmp_path, **changes):
    path = tmp_path / "card.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    return str(path)


def test_card_is_read_with_its_root_beside_it(tmp_path):
    card = load_card(write(tmp_path))
    assert card.class_names == ("cell", "wall")
    assert card.class_colors[0] == (1, 2, 3)
    assert card.class_ids == tuple(row["ids"][0] for row in GOOD["classes"])
    assert card.root == tmp_path / "pictures"
    assert card.name == "card"


def test_a_card_with_a_class_without_ids_has_no_ids_to_write(tmp_path):
    rows = [{"name": "cell", "ids": [3, 4]}, {"name": "wall", "ids": []}]
    assert load_card(write(tmp_path, classes=rows)).class_ids is None
    rows = [{"name": "cell"}, {"name": "wall"}]
    assert load_card(write(tmp_path, classes=rows)).class_ids == (0, 1)
    assert load_card(write(tmp_path, classes=rows, multi_label=True)).class_ids is None


def test_categories_and_boundaries_are_read(tmp_path):
    rows = [{"name": "cell", "category": "inside"}, {"name": "wall"}]
    card = load_card(write(tmp_path, classes=rows, boundary="wall"))
    assert [row.category for row in card.classes] == ["inside", ""]
    assert card.boundary == ("wall",) and not card.multi_label
    with pytest.raises(UserError, match="boundary: 'walls' is no class. Did you mean 'wall'?"):
        load_card(write(tmp_path, boundary=["walls"]))
    with pytest.raises(UserError, match="boundary: expected a list of names of classes, found 7"):
        load_card(write(tmp_path, boundary=7))


def test_regions_are_unions_of_classes(tmp_path):
    card = load_card(write(tmp_path, regions={"tissue": ["wall", "cell"]}))
    assert card.regions == {"tissue": ("wall", "cell")} and card.region_ids == {"tissue": (1, 0)}


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        (["wall"], r"regions: expected \{NAME: \[class, class\]\}, found \['wall'\]"),
        ({"tissue": ["walls"]}, "regions: 'tissue': 'walls' is no class. Did you mean 'wall'?"),
        ({"tissue": "wall"}, "regions: 'tissue': expected a list of names of classes, found 'wall'"),
        ({"tissue": ["wall", "wall"]}, "regions: 'tissue': class 'wall' stands there twice"),
        ({"wall": ["cell", "wall"]}, "regions: 'wall' is also the name of a class"),
    ],
)
def test_regions_that_cannot_be_are_told_why(tmp_path, regions, words):
    with pytest.raises(UserError, match=f"card.yaml: {words}"):
        load_card(write(tmp_path, regions=regions))


def test_regions_are_refused_where_classes_overlap_anyway(tmp_path):
    rows = [{"name": "cup"}, {"name": "disc"}]
    with pytest.raises(UserError, match="regions: multi_label: true lets classes overlap"):
        load_card(write(tmp_path, classes=rows, ignore=[], multi_label=True, regions={"eye": ["cup", "disc"]}))


def test_no_class_is_black_where_a_pixel_may_be_of_none(tmp_path):
    rows = [{"name": "disc"}, {"name": "cup"}]
    assert load_card(write(tmp_path, classes=rows)).class_colors == ((0, 0, 0), (128, 0, 0))
    assert load_card(write(tmp_path, classes=rows, multi_label=True)).class_colors == ((128, 0, 0), (0, 128, 0))


@pytest.mark.parametrize("root", ["off", "2024", "[a, b]"])
def test_a_root_that_yaml_does_not_take_for_text_is_refused(tmp_path, root):
    path = tmp_path / "card.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in GOOD.items() if key != "root"}) + f"root: {root}\n")
    without_classes = tmp_path / "nnunet.yaml"
    without_classes.write_text(f"layout: nnunet\nroot: {root}\n")
    for card in (path, without_classes):
        with pytest.raises(UserError, match=f"{card.name}: root: expected a folder, found .*Put its name in quotes"):
            load_card(str(card))


def test_the_shipped_cards_say_what_their_owners_do():
    owners = {label.name: label.category for label in city_labels if not label.ignoreInEval}
    assert {row.name: row.category for row in load_card("cityscapes").classes} == owners
    assert load_card("isbi2012").boundary == load_card("isbi2012-folds").boundary == ("membrane",)


def test_label_map_sends_ids_to_their_classes_and_knows_strangers(tmp_path):
    import numpy as np

    labels = LabelMap(load_card(write(tmp_path)))
    raw = np.array([[0, 7, 255], [9, 3, 700]], dtype=np.uint16)
    assert labels(raw).tolist() == [[0, 0, 1], [255, 254, 254]]
    assert labels.unknown_ids(raw) == [3, 700]
    assert labels.known == "0, 7, 9, 255"


def test_255_is_ignored_unless_a_class_claims_it(tmp_path):
    import numpy as np

    classes = [{"name": "a"}, {"name": "b"}]
    labels = LabelMap(load_card(write(tmp_path, classes=classes)))
    assert labels(np.array([[0, 1, 255]], dtype=np.uint8)).tolist() == [[0, 1, 255]]


@pytest.mark.parametrize("name", shipped_cards())
def test_shipped_cards_are_complete(name):
    card = load_card(name)
    assert card.source and card.terms and card.title
    assert len(set(card.class_colors)) == len(card.classes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clases": []}, "unknown key 'clases'. Did you mean 'classes'"),
        ({"classes": []}, "'classes' is missing"),
        ({"classes": [{"name": "a"}]}, "2 to 254 rows"),
        ({"classes": [{"name": "a"}, {"nam": "b"}]}, r"classes\[1\]: expected"),
        ({"classes": [{"name": "a"}, {"name": "b", "colour": [0, 0, 0]}]}, "Did you mean 'color'"),
        ({"classes": [{"name": "a"}, {"name": "b", "color": [0, 0, 256]}]}, "three integers of 0 to 255"),
        ({"classes": [{"name": "a"}, {"name": "b", "ids": ["x"]}]}, "integers of 0 to 65535"),
        ({"classes": [{"name": "a"}, {"name": "b", "ids": [True]}]}, "integers of 0 to 65535, found .True"),
        ({"classes": [{"name": "a"}, {"name": "b", "color": [0, False, 1]}]}, "three integers of 0 to 255"),
        ({"classes": [{"name": "a"}, {"name": "a"}]}, "class name 'a' stands in more than one row"),
        ({"ignore": [7]}, "mask id 7 stands in more than one row"),
        ({"layout": {"images": "x"}}, "a mapping with 'reader'"),
    ],
)
def test_bad_cards_are_refused_in_one_line(tmp_path, changes, words):
    path = write(tmp_path, **changes)
    with pytest.raises(UserError, match=words) as caught:
        load_card(path)
    assert str(caught.value).startswith(path) and "\n" not in str(caught.value)


def test_yaml_that_is_none_is_refused(tmp_path):
    path = tmp_path / "card.yaml"
    path.write_text("classes: [")
    with pytest.raises(UserError, match="not a readable YAML file"):
        load_card(str(path))


def test_unknown_card_names_the_nearest():
    with pytest.raises(UserError, match="no card is called 'camvidd'. Did you mean 'camvid'"):
        load_card("camvidd")


def test_missing_card_file_is_named():
    with pytest.raises(
        UserError, match=r"nowhere/card\.yaml: no such card, looked for from /.* --data.card, .*: ade20k, "
    ):
        load_card("nowhere/card.yaml")
