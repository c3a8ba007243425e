"""The first steps at several learning rates."""

from tests.data.layouts import make_camvid


def test_a_learning_rate_that_is_too_high_is_told_from_one_that_is_not(run, tmp_path):
    make_camvid(tmp_path / "camvid")
    names = ["--only", "PAFPNeXt elanext_tiny", "--precisions", "32-true", "--device", "cpu"]
    sizes = ["--steps", 3, "--batch", 2, "--crop", 64, 64]
    content = run("stability", "--root", tmp_path / "camvid", "--rates", 1e-4, 1e30, *names, *sizes)
    calm, wild = content["rows"]
    assert calm["stopped"] is None and calm["steps"] == 3 and 0 < calm["last_loss"] < 20
    assert wild["stopped"] == f"non-finite loss at step {wild['steps']}" and 1 < wild["steps"] <= 3
    assert wild["first_loss"] == calm["first_loss"]
    from table_kinds import stability_table

    last = stability_table(content).splitlines()[-1]
    assert last == (
        f"| PAFPNeXt elanext_tiny | 32-true | {calm['last_loss']:.2f} | not finite at step {wild['steps']} |"
    )
