"""ELANeXt: a ConvNeXt-style ELAN backbone with features at strides 2, 4, 8, 16 and 32.

Image ``(B, 3, H, W)`` -> stem (stride 2) -> four stages, each a ConvNeXt downsampling, ConvNeXt blocks, and an
ELAN whose chains are ConvNeXt blocks of half the width. Importing this module registers every row of
:data:`ELANEXT_VARIANTS` with timm.
"""

from itertools import pairwise

import torch
from timm.models import checkpoint_seq
from torch import nn

from segnext_pafpn.layers import ELAN, ConvNormAct, Downsample, build_block
from segnext_pafpn.models.number_checks import check_odd, check_share
from segnext_pafpn.models.timm_backbone import TimmBackbone
from segnext_pafpn.models.timm_registry import register_variants

__all__ = ["ELANEXT_VARIANTS", "ELANeXt"]

# widths: channels at strides 2, 4, 8, 16, 32; depths: blocks of a stage before its ELAN;
# elan_depths: blocks in each of the ELAN's two chains. nano and tiny were chosen by measuring (see docs/ablation.md);
# small and base carry them on and have not been trained yet.
ELANEXT_VARIANTS: dict[str, dict] = {
    "elanext_nano": dict(widths=(32, 32, 64, 128, 256), depths=(1, 1, 1, 1), elan_depths=(1, 1, 1, 1)),
    "elanext_tiny": dict(widths=(32, 64, 128, 256, 256), depths=(3, 1, 1, 1), elan_depths=(1, 1, 1, 1)),
    "elanext_small": dict(widths=(48, 80, 160, 320, 512), depths=(3, 2, 4, 2), elan_depths=(1, 1, 2, 1)),
    "elanext_base": dict(widths=(64, 128, 256, 512, 768), depths=(3, 2, 4, 2), elan_depths=(1, 1, 2, 1)),
}


class ELANeXt(TimmBackbone):
    """ConvNeXt blocks inside ELAN, in timm's form.

    Args:
        widths: channels of the five feature levels, strides 2 to 32.
        depths: blocks before the ELAN, at strides 4 to 32.
        elan_depths: blocks in each of the ELAN's two chains, at strides 4 to 32.
        in_chans: image channels.
        num_classes: of the classification head; 0 for none.
        global_pool: timm's pooling name of the classification head.
        output_stride: 32, 16 or 8; below 32 the last stages keep the resolution and dilate their
            depthwise convolutions instead.
        block: ``convnext``, ``cspnext``, or ``one`` as published (without a shortcut, so with drop_path_rate=0).
        elan_groups: 1 for ELAN, more for the extended ELAN; see :class:`~segnext_pafpn.layers.ELAN`.
        kernel_size: side of the large kernels; None for the block's own.
        expansion: hidden width of the blocks over their channels; None for the block's own.
        norm: ``batch`` (default), ``layer`` or ``group``.
        layer_scale: initial LayerScale, or None for none.
        drop_rate: dropout before the classifier.
        drop_path_rate: stochastic depth of the last block; earlier ones rise linearly to it.

    Raises:
        ValueError: for a number or a name that cannot be.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        elan_depths: tuple[int, ...] = (1, 1, 1, 1),
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        output_stride: int = 32,
        block: str = "convnext",
        elan_groups: int = 1,
        kernel_size: int | None = 7,
        expansion: int | None = None,
        norm: str = "batch",
        layer_scale: float | None = None,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if len(widths) != 5 or len(depths) != 4 or len(elan_depths) != 4:
            raise ValueError(
                f"ELANeXt takes 5 widths, 4 depths and 4 elan_depths, found {widths}, {depths} and {elan_depths}."
            )
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride must be 8, 16 or 32, found {output_stride}.")
        if kernel_size is not None:
            check_odd("kernel_size", kernel_size)
            kernel_size = int(kernel_size)
        check_share("drop_path_rate", drop_path_rate, below_one=True)
        self.in_chans = in_chans
        self.grad_checkpointing = False

        self.stem = ConvNormAct(in_chans, widths[0], kernel_size=3, stride=2, norm=norm)
        self.feature_info = [dict(num_chs=widths[0], reduction=2, module="stem")]
        count = sum(depths) + 2 * sum(elan_depths)
        rates = torch.linspace(0, drop_path_rate, count, device="cpu").tolist()  # timm builds on the meta device too
        stages, reduction = [], 2
        for i, (in_channels, out_channels) in enumerate(pairwise(widths)):
            stride = 2 if reduction < output_stride else 1
            reduction *= stride
            options = dict(kernel_size=kernel_size, expansion=expansion, norm=norm, layer_scale=layer_scale)
            options["dilation"] = 2 ** (i + 2) // reduction
            downsample = Downsample(in_channels, out_channels, stride=stride, norm=norm)
            blocks = [build_block(block, out_channels, drop_path=rates.pop(0), **options) for _ in range(depths[i])]
            chain_rates = [rates.pop(0) for _ in range(2 * elan_depths[i])]
            options.update(depth=elan_depths[i], block=block, groups=elan_groups)
            elan = ELAN(out_channels, out_channels, drop_path=chain_rates, **options)
            stages.append(nn.Sequential(downsample, *blocks, elan))
            self.feature_info.append(dict(num_chs=out_channels, reduction=reduction, module=f"stages.{i}"))
        self.stages = nn.Sequential(*stages)
        self._add_head(num_classes, global_pool, drop_rate)

    def forward_levels(self, x: torch.Tensor, count: int = 5) -> list[torch.Tensor]:
        """Image ``(B, in_chans, H, W)`` to its first ``count`` feature levels, each ``(B, widths[i], H_i, W_i)``."""
        x = self.stem(x)
        levels = [x]
        for i, stage in enumerate(self.stages):
            if i + 1 < count:
                if self.grad_checkpointing and not torch.jit.is_scripting():
                    x = checkpoint_seq(stage, x)
                else:
                    x = stage(x)
                levels.append(x)
        return levels

    def _level_count(self) -> int:
        return 1 + len(self.stages)

    def _keep_levels(self, count: int) -> None:
        del self.stages[count - 1 :]

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the stages in the backward pass instead of keeping their activations.

        BatchNorm sees each batch twice then, so its running statistics move twice as fast.
        """
        self.grad_checkpointing = enable

    @torch.jit.ignore
    def group_matcher(self, coarse: bool = False) -> dict:
        """timm's grouping of parameters into layers, for layer-wise learning rates: a block or ELAN is a layer.

        A stage's downsampling goes with its first block.
        """
        if coarse:
            return {"stem": r"^stem", "blocks": r"^stages\.(\d+)"}
        return {"stem": r"^stem", "blocks": [(r"^stages\.(\d+)\.[01]\.", (1,)), (r"^stages\.(\d+)\.(\d+)", None)]}

    @torch.jit.ignore
    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that take no weight decay besides norms and biases: the LayerScales."""
        return {name for name, _ in self.named_parameters() if name.endswith("gamma")}


register_variants(
    ELANeXt,
    ELANEXT_VARIANTS,
    first_conv="stem.conv",
    feature_cfg=dict(out_indices=(0, 1, 2, 3, 4), flatten_sequential=True),
)
