"""Whether a network takes the batches is asked of shapes alone."""

import pytest
import torch

from segnext_pafpn.data.config import DataConfig
from segnext_pafpn.errors import UserError
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.factory import build_model
from segnext_pafpn.training.misfit import refuse_misfit

SMALL = {"decoder_channels": 16, "head_channels": 16}


def test_the_network_stays_as_it_was():
    config = ModelConfig(encoder_name="elanext_nano", options=SMALL)
    model = build_model(config, classes=3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    refuse_misfit(model, config, DataConfig(crop_size=(64, 64), batch_size=2), channels=3)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))


def test_a_batch_norm_over_one_value_is_found():
    config = ModelConfig(arch="deeplabv3plus", encoder_name="resnet18")
    model = build_model(config, classes=3)
    with pytest.raises(UserError, match=r"batches of 1 crops of 64x32 .*more than 1 value per channel"):
        refuse_misfit(model, config, DataConfig(crop_size=(32, 64), batch_size=1), channels=3)
    refuse_misfit(model, config, DataConfig(crop_size=(32, 64), batch_size=2), channels=3)
