"""MSCAN, SegNeXt's encoder (arXiv 2209.08575, section 3.1), with features at strides 4, 8, 16 and 32.

Image ``(B, 3, H, W)`` -> stem (stride 4) -> four stages of MSCA blocks, each but the first opened by a 3x3
convolution of stride 2 and each closed by a LayerNorm over channels. Parameters bear the names of the
published checkpoints. Importing this module registers every row of :data:`MSCAN_VARIANTS` with timm.
"""

import math

import torch
from timm.layers import ClassifierHead
from torch import nn

from segnext_pafpn.layers import LayerNorm2d
from segnext_pafpn.layers.msca import MSCABlock, PatchEmbed, StemConv
from segnext_pafpn.models.timm_registry import register_variants

__all__ = ["MSCAN", "MSCAN_VARIANTS"]

# Table 2 of the paper; the stochastic depth is that of its published segmentation recipes.
# widths: channels at strides 4, 8, 16, 32; depths: blocks of each stage.
MSCAN_VARIANTS: dict[str, dict] = {
    "mscan_tiny": dict(widths=(32, 64, 160, 256), depths=(3, 3, 5, 2)),
    "mscan_small": dict(widths=(64, 128, 320, 512), depths=(2, 2, 4, 2)),
    "mscan_base": dict(widths=(64, 128, 320, 512), depths=(3, 3, 12, 3)),
    "mscan_large": dict(widths=(64, 128, 320, 512), depths=(3, 5, 27, 3), drop_path_rate=0.3),
}


class MSCAN(nn.Module):
    """SegNeXt's encoder in timm's form.

    Args:
        widths: channels of the four stages, strides 4 to 32.
        depths: blocks of each stage.
        mlp_ratios: hidden width of each stage's MLPs over its width.
        in_chans: image channels.
        num_classes: of the classification head; 0 for none.
        global_pool: timm's pooling name of the classification head.
        output_stride: 32, 16 or 8; below 32 the last stages keep the resolution and dilate their
            convolutions instead.
        layer_scale: initial LayerScale.
        drop_rate: dropout before the classifier.
        drop_path_rate: stochastic depth of the last block; earlier ones rise linearly to it.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        mlp_ratios: tuple[int, ...] = (8, 8, 4, 4),
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        output_stride: int = 32,
        layer_scale: float = 0.01,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
    ):
        super().__init__()
        if not len(widths) == len(depths) == len(mlp_ratios) == 4:
            raise ValueError(f"MSCAN takes 4 widths, depths and mlp_ratios, found {widths}, {depths}, {mlp_ratios}.")
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride must be 8, 16 or 32, found {output_stride}.")
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.num_features = self.head_hidden_size = widths[-1]
        self.feature_info = []

        rates = torch.linspace(0, drop_path_rate, sum(depths), device="cpu").tolist()
        reduction, dilation = 4, 1
        for i, (channels, depth) in enumerate(zip(widths, depths, strict=True)):
            if i == 0:
                embed = StemConv(in_chans, channels)
            elif reduction < output_stride:
                embed = PatchEmbed(widths[i - 1], channels, stride=2)
                reduction *= 2
            else:
                embed = PatchEmbed(widths[i - 1], channels, stride=1, dilation=dilation)
                dilation *= 2
            blocks = [
                MSCABlock(channels, mlp_ratios[i], dilation, layer_scale, drop_path=rates.pop(0)) for _ in range(depth)
            ]
            self.add_module(f"patch_embed{i + 1}", embed)
            self.add_module(f"block{i + 1}", nn.Sequential(*blocks))
            self.add_module(f"norm{i + 1}", LayerNorm2d(channels, eps=1e-5))
            self.feature_info.append(dict(num_chs=channels, reduction=reduction, module=f"norm{i + 1}"))
        self.head = ClassifierHead(widths[-1], num_classes, pool_type=global_pool, drop_rate=drop_rate)
        self.apply(_init_weights)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, in_chans, H, W)`` to ``(B, widths[-1], H / 32, W / 32)``."""
        x = self.norm1(self.block1(self.patch_embed1(x)))
        x = self.norm2(self.block2(self.patch_embed2(x)))
        x = self.norm3(self.block3(self.patch_embed3(x)))
        return self.norm4(self.block4(self.patch_embed4(x)))

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        return self.head(x, pre_logits=pre_logits)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        return self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        self.num_classes = num_classes
        self.head.reset(num_classes, global_pool)

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that take no weight decay besides norms and biases: the LayerScales."""
        return {name for name, _ in self.named_parameters() if "layer_scale" in name}


def _init_weights(module: nn.Module) -> None:
    """The published initialisation: convolutions by their fan-out per group, linear layers as in ViT."""
    if isinstance(module, nn.Conv2d):
        fan_out = module.out_channels // module.groups * math.prod(module.kernel_size)
        nn.init.normal_(module.weight, std=math.sqrt(2.0 / fan_out))
    elif isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


register_variants(
    MSCAN,
    MSCAN_VARIANTS,
    first_conv="patch_embed1.proj.0",
    feature_cfg=dict(out_indices=(0, 1, 2, 3), flatten_sequential=False),
)
