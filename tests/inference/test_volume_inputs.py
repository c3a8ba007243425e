"""Which files are the volumes to predict."""

import pytest

from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.volumes import VolumeFiles, find_volumes
from segnext_pafpn.slicing import Slicing
from tests.data.volumes import labels, save_nifti


def test_files_are_put_together_by_the_names_of_training(tmp_path):
    slicing = Slicing(images=("{name}_0000.nii.gz", "{name}_0001.nii.gz"))
    for name in ("b_0000", "b_0001", "a_0000", "a_0001"):
        save_nifti(tmp_path / f"{name}.nii.gz", labels(1))
    found = find_volumes(str(tmp_path), slicing)
    assert [(v.name, v.output_name) for v in found] == [("a", "a.nii.gz"), ("b", "b.nii.gz")]
    assert [path.name for path in found[0].files] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert find_volumes(str(tmp_path / "b_0000.nii.gz"), slicing) == [found[1]]
    with pytest.raises(UserError, match=r"b_0001.nii.gz: is not named as in training, \{name\}_0000.nii.gz"):
        find_volumes(str(tmp_path / "b_0001.nii.gz"), slicing)
    assert find_volumes(str(tmp_path / "[ab]_*.nii.gz"), slicing) == found
    (tmp_path / "b.txt").touch()
    assert find_volumes(str(tmp_path / "b*"), slicing) == [found[1]]
    with pytest.raises(UserError, match=r"b\.t\*: no such file or folder. Give a volume, .* or a quoted glob"):
        find_volumes(str(tmp_path / "b.t*"), slicing)
    (tmp_path / "b.txt").unlink()
    (tmp_path / "a_0001.nii.gz").unlink()
    with pytest.raises(UserError, match=r"a_0000.nii.gz: a channel is missing. Expected .*a_0001.nii.gz"):
        find_volumes(str(tmp_path), slicing)
    assert VolumeFiles("c", (tmp_path / "c_0000.PNG",)).output_name == "c.png"


def test_a_glob_finds_pictures_too_where_training_had_such(tmp_path, caplog):
    slicing = Slicing(images=("{name}_0000.png",))
    for name in ("a_0000.png", "b_0000.png", "c.png", "notes.txt"):
        (tmp_path / name).touch()
    found = [VolumeFiles(name, (tmp_path / f"{name}_0000.png",)) for name in "ab"]
    for source in (tmp_path / "*_0000.png", tmp_path / "*", tmp_path):
        caplog.clear()
        assert find_volumes(str(source), slicing) == found
        assert (f"1 file left out, {tmp_path}/c.png first" in caplog.text) == (source.name != "*_0000.png")
    (tmp_path / "scan_0000.nii.gz").touch()  # beside volumes pictures are something else
    assert [volume.name for volume in find_volumes(str(tmp_path / "*"), Slicing(images=("{name}.nii",)))] == [
        "scan_0000"
    ]


def test_a_folder_without_volumes_and_one_that_is_not_there_are_told_apart(tmp_path):
    with pytest.raises(UserError, match=r"no such file or folder"):
        find_volumes(str(tmp_path / "nowhere"), Slicing())
    with pytest.raises(UserError, match=r"no volume found. Expected files named as in training, \{name\}_x.nii"):
        find_volumes(str(tmp_path), Slicing(images=("{name}_x.nii",)))
