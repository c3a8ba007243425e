"""Cards: what is read, and what is refused with which words."""

import pytest
import yaml

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
    assert card.root == tmp_path / "pictures"
    assert card.name == "card"


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
    with pytest.raises(UserError, match=r"nowhere/card\.yaml: no such card"):
        load_card("nowhere/card.yaml")
