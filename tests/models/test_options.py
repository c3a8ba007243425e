"""Options of networks that training and prediction have no use for."""

import pytest

from segnext_pafpn.errors import UserError
from segnext_pafpn.model_config import ModelConfig
from segnext_pafpn.models.factory import build_model, check_model


@pytest.mark.parametrize(("arch", "encoder"), [("pafpnext", "elanext_nano"), ("unet", "tu-elanext_nano")])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"activation": "softmax2d"}, r"model\.options\.activation: found 'softmax2d', expected null: .* from logits"),
        ({"aux_params": {"classes": 2}}, r"model\.options\.aux_params: found {'classes': 2}, expected null: labels of"),
    ],
)
def test_they_are_refused_before_anything_is_built(arch, encoder, options, words):
    with pytest.raises(UserError, match=words):
        check_model(ModelConfig(arch=arch, encoder_name=encoder, options=options))


def test_they_may_be_null():
    options = {"activation": None, "aux_params": None}
    assert build_model(ModelConfig(encoder_name="elanext_nano", options=options), 3).classification_head is None
