"""Growth of time and memory."""

import pytest


def test_growth_is_measured_point_by_point_in_processes_of_their_own(run):
    content = run(
        "scaling", "--device", "cpu", "--encoder", "elanext_nano", "--axes", "side", "pictures", "processes",
        "--sides", 64, 256, "--pictures", 20, "--processes", "2x1", "--process-batch", 2, "--seconds", 0.01,
    )  # fmt: skip
    rows = content["rows"]
    assert not [row for row in rows if "not_measured" in row]
    assert [row["axis"] for row in rows] == [*["side"] * 4, "pictures", "processes"]
    small, large = [row for row in rows if row["axis"] == "side" and row["job"] == "train"]
    grown = [row["peak_mib"] - row["start_mib"] for row in (small, large)]
    assert 0 < grown[0] < 0.6 * grown[1] and small["ms"] < large["ms"]
    two = rows[-1]
    assert two["images_per_second"] == pytest.approx(2000 / two["ms"], rel=0.01)
    from table_kinds import scaling_table

    table = scaling_table(content)
    assert f"\n| 64 | {small['ms']:.0f} | {grown[0]} |" in table
    assert f"\n| 2 x 1 | {two['ms']:.0f} | {two['images_per_second']:.1f} | {two['peak_mib']} |" in table
