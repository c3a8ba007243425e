import pytest
import torch

from segnext_pafpn import doctor
from segnext_pafpn.inference.device import why_slow
from segnext_pafpn.training.config import TrainerConfig
from segnext_pafpn.training.engine import build_trainer

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def old_cpu(monkeypatch):
    for half in ("bf16", "fp16"):
        monkeypatch.setattr(torch.ops.mkldnn, f"_is_mkldnn_{half}_supported", lambda: False)


def gpu(monkeypatch, capability):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    monkeypatch.setattr(torch.version, "hip", None)


def test_a_processor_says_for_itself_whether_it_has_16_bit_types():
    """The question is asked where torch has no public way to: it must be there in every version."""
    for half in ("bf16", "fp16"):
        assert getattr(torch.ops.mkldnn, f"_is_mkldnn_{half}_supported")() in (True, False)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_an_old_processor_is_slow_in_16_bits_alone(old_cpu, precision):
    line = why_slow(precision, CPU)
    assert line.startswith(f"precision: this CPU has no instructions for {precision}") and line.endswith("32-true.")
    assert why_slow("32-true", CPU) is None


def test_a_new_processor_is_not_slow(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    assert why_slow("bf16-mixed", CPU) is None


@pytest.mark.parametrize("capability, slow", [((7, 5), True), ((8, 0), False), ((9, 0), False)])
def test_a_gpu_before_ampere_is_slow_in_bfloat16(monkeypatch, capability, slow):
    gpu(monkeypatch, capability)
    line = why_slow("bf16-mixed", GPU)
    assert (line is not None) == slow
    assert why_slow("16-mixed", GPU) is why_slow("32-true", GPU) is None
    if slow:
        assert "Tesla T4" in line and line.endswith("Choose 16-mixed.")


def test_training_in_a_slow_precision_warns(old_cpu, tmp_path, caplog):
    build_trainer(TrainerConfig(accelerator="cpu", precision="bf16-mixed"), [], tmp_path)
    assert [r.message for r in caplog.records if r.levelname == "WARNING"] == [
        "warning: trainer.precision: this CPU has no instructions for bf16-mixed and takes ten times as long. "
        "Choose 32-true."
    ]


def test_doctor_says_what_an_old_processor_is_to_compute_in(old_cpu):
    cells = [cell for column in doctor.doctor_table()[0].columns for cell in column.cells]
    assert any(cell.endswith("cores, no bf16: choose precision 32-true") for cell in cells)
