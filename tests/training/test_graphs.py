"""Recorded training steps are the steps that they stand for, and what cannot be recorded is told."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from segnext_pafpn.errors import UserError
from segnext_pafpn.inference.predictor import Predictor
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.training.config import OptimConfig, TrainerConfig, check_trainer
from segnext_pafpn.training.graphs import CudaGraphs, refuse_unrecordable
from segnext_pafpn.training.run import fit
from tests.training.small_runs import go_on, small_config


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"compile": True},
            "trainer.compile: true. Set trainer.cuda_graphs to false, or trainer.compile to false",
        ),
        ({"accumulate_grad_batches": 2}, "does not go with trainer.accumulate_grad_batches: 2. .*batches to 1"),
        ({"devices": 2}, "does not go with trainer.devices: 2"),
        ({"num_nodes": 2}, "does not go with trainer.num_nodes: 2"),
    ],
)
def test_what_cannot_be_recorded_is_refused(options, words):
    check_trainer(TrainerConfig(cuda_graphs=True))
    with pytest.raises(UserError, match=words):
        check_trainer(TrainerConfig(cuda_graphs=True, **options))


def test_auxiliary_heads_are_refused():
    network = build_model(ModelConfig(encoder_name="elanext_nano", options={"auxiliary_heads": True}), 3)
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cuda")))
    refuse_unrecordable(TrainerConfig(), trainer, network)
    with pytest.raises(UserError, match="trainer.cuda_graphs: a network with auxiliary heads"):
        refuse_unrecordable(TrainerConfig(cuda_graphs=True), trainer, network)


def test_a_choice_of_algorithms_that_need_not_be_the_same_is_refused_where_they_must():
    with pytest.raises(UserError, match="trainer.benchmark: does not go with trainer.deterministic: true"):
        check_trainer(TrainerConfig(deterministic=True, benchmark=True))


def test_a_device_without_graphs_is_told_before_a_run_is_touched(dataset, tmp_path):
    config = small_config(dataset, tmp_path, 1, trainer=TrainerConfig(accelerator="cpu", cuda_graphs=True))
    with pytest.raises(UserError, match="trainer.cuda_graphs: is for a CUDA device, and the run trains on cpu"):
        fit(config)
    assert not config.run_dir.exists()


def test_a_training_that_ends_leaves_the_network_as_it_was():
    network = torch.nn.Conv2d(1, 1, 1)
    module, callback = SimpleNamespace(model=network), CudaGraphs()
    x = torch.ones(1, 1, 2, 2)
    callback.on_train_start(None, module)
    assert "forward" in vars(network)
    network.eval()
    torch.testing.assert_close(network(x), torch.nn.Conv2d.forward(network, x))
    callback.on_exception(None, module, KeyboardInterrupt())
    assert "forward" not in vars(network)
    callback.on_train_end(None, module)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_recorded_steps_on_cuda_are_those_that_are_launched(precision, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # its rounding grows to a hundredth in four steps
    torch.manual_seed(0)
    config = ModelConfig(encoder_name="elanext_nano", options={"head_dropout": 0.0})
    plain = build_model(config, 3).cuda().train()
    recorded = copy.deepcopy(plain)
    CudaGraphs().on_train_start(None, SimpleNamespace(model=recorded))
    losses, generators = {}, []
    for network in (plain, recorded):
        torch.manual_seed(0)
        optimizer = torch.optim.SGD(network.parameters(), 0.01)
        generator = torch.Generator().manual_seed(1)
        losses[network] = []
        for _ in range(4):
            image = torch.randn(2, 3, 64, 96, generator=generator).cuda()
            target = torch.randint(0, 3, (2, 64, 96), generator=generator).cuda()
            with torch.autocast("cuda", dtype=precision, enabled=precision is not None):
                loss = F.cross_entropy(network(image).float(), target)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses[network].append(loss.item())
        generators.append(torch.cuda.get_rng_state())
    tolerance = {"atol": 1e-3, "rtol": 1e-3} if precision is None else {"atol": 3e-2, "rtol": 3e-2}
    torch.testing.assert_close(losses[recorded], losses[plain], **tolerance)
    torch.testing.assert_close(list(recorded.buffers()), list(plain.buffers()), **tolerance)
    assert torch.equal(*generators)  # nothing was drawn for the recording
    image = torch.randn(1, 3, 32, 40, device="cuda")  # of another size, in evaluation
    recorded.eval()
    plain.load_state_dict(recorded.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(recorded(image), plain.eval()(image))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_recorded_run_on_cuda_is_scored_and_goes_on(dataset, tmp_path, precision):
    trainer = TrainerConfig(accelerator="gpu", precision=precision, max_epochs=2, cuda_graphs=True)
    config = small_config(dataset, tmp_path, 2, trainer=trainer, optim=OptimConfig(ema_decay=0.9, warmup_steps=1))
    assert 0 <= fit(config).scores.mIoU <= 1
    longer = replace(config, trainer=replace(trainer, max_epochs=3))
    assert 0 <= go_on(longer).scores.mIoU <= 1
    assert Predictor.from_checkpoint(str(config.run_dir), device="cpu")
