"""MSCAN, SegNeXt's encoder (arXiv 2209.08575, section 3.1), with features at strides 4, 8, 16 and 32.

Image ``(B, 3, H, W)`` -> stem (stride 4) -> four stages of MSCA blocks, each but the first opened by a 3x3
convolution of stride 2 and each closed by a LayerNorm over channels. Parameters bear the names of the
published checkpoints. Importing this module registers every row of :data:`MSCAN_VARIANTS` with timm.
"""

import math

import torch
from timm.models import checkpoint_seq
from timm.models._manipulate import MATCH_PREV_GROUP
from torch import nn

from segnext_pafpn.layers import LayerNorm2d
from segnext_pafpn.layers.msca import MSCABlock, PatchEmbed, StemConv
from segnext_pafpn.models.number_checks import check_share
from segnext_pafpn.models.timm_backbone import TimmBackbone
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


class Blocks(nn.Sequential):
    """A stage's MSCA blocks; with ``grad_checkpointing`` recomputed in the backward pass."""

    def __init__(self, *blocks: nn.Module):
        super().__init__(*blocks)
        self.grad_checkpointing = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.grad_checkpointing and not torch.jit.is_scripting():
            return checkpoint_seq(self, x)
        for block in self:
            x = block(x)
        return x


class MSCAN(TimmBackbone):
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

    Raises:
        ValueError: for a number that cannot be.
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
        check_share("drop_path_rate", drop_path_rate, below_one=True)
        self.in_chans = in_chans
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
            self.add_module(f"block{i + 1}", Blocks(*blocks))
            self.add_module(f"norm{i + 1}", LayerNorm2d(channels, eps=1e-5))
            self.feature_info.append(dict(num_chs=channels, reduction=reduction, module=f"norm{i + 1}"))
        self._add_head(num_classes, global_pool, drop_rate)
        self.apply(_init_weights)

    def forward_levels(self, x: torch.Tensor, count: int = 4) -> list[torch.Tensor]:
        """Image ``(B, in_chans, H, W)`` to its first ``count`` levels, each ``(B, widths[i], H_i, W_i)``."""
        levels = [self.norm1(self.block1(self.patch_embed1(x)))]
        if hasattr(self, "norm2") and count > 1:  # in this order TorchScript leaves out a stage that was pruned
            levels.append(self.norm2(self.block2(self.patch_embed2(levels[-1]))))
        if hasattr(self, "norm3") and count > 2:
            levels.append(self.norm3(self.block3(self.patch_embed3(levels[-1]))))
        if hasattr(self, "norm4") and count > 3:
            levels.append(self.norm4(self.block4(self.patch_embed4(levels[-1]))))
        return levels

    def _level_count(self) -> int:
        return sum(name.startswith("norm") for name, _ in self.named_children())

    def _keep_levels(self, count: int) -> None:
        for i in range(count + 1, self._level_count() + 1):
            for name in (f"patch_embed{i}", f"block{i}", f"norm{i}"):
                delattr(self, name)

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the blocks in the backward pass instead of keeping their activations.

        BatchNorm sees each batch twice then, so its running statistics move twice as fast.
        """
        for module in self.children():
            if isinstance(module, Blocks):
                module.grad_checkpointing = enable

    @torch.jit.ignore
    def group_matcher(self, coarse: bool = False) -> dict:
        """timm's grouping of parameters into layers, for layer-wise learning rates: a block is a layer.

        A stage's downsampling goes with its first block, its norm with its last.
        """
        if coarse:
            return {"stem": r"^patch_embed1", "blocks": r"^(?:patch_embed|block|norm)(\d)"}
        return {
            "stem": r"^patch_embed1",
            "blocks": [
                (r"^patch_embed(\d)", (0,)),
                (r"^block(\d)\.(\d+)", None),
                (r"^norm(\d)", MATCH_PREV_GROUP),
            ],
        }

    @torch.jit.ignore
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
