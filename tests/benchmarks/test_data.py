"""The loader beside a plain one, and the confusion matrix beside others."""

from tests.data.layouts import make_camvid


def test_all_metrics_count_alike(run):
    rows = run("metric", "--device", "cpu", "--batch", 2, "--size", 24, 16, "--classes", 3, "--rounds", 2)["rows"]
    assert {"ConfusionMatrix", "smp get_stats"} <= {row["metric"] for row in rows} and len(rows) == 4


def test_the_loader_is_measured_beside_a_plain_one(run, tmp_path):
    make_camvid(tmp_path / "camvid")
    arguments = ["--root", tmp_path / "camvid", "--formats", "png", "--workers", 0, "--crop", 32, 24]
    rows = run("loader", *arguments, "--caches", "none", "ram", "disk", "--batch", 2, "--rounds", 1)["rows"]
    kinds = [("segnext_pafpn", cache) for cache in ("none", "ram", "disk")]
    assert [(row["loader"], row["cache"]) for row in rows] == [*kinds, ("PIL + albumentations", "none")]
    assert all(row["images_per_second"] > 0 for row in rows)
