"""The networks of the benchmarks by the names that stand in their results; each benchmark picks among them."""

from segnext_pafpn.model_config import ModelConfig

AS_PUBLISHED = "article network, quarter width, as published"


def _article(**options: str) -> ModelConfig:
    return ModelConfig(arch="article", encoder_name="article", options=options)


def _nano(widths: tuple[int, ...], stride_4_depth: int = 2, **options: int) -> ModelConfig:
    depths = [stride_4_depth, 1, 1, 1]
    return ModelConfig(encoder_name="tu-elanext_nano", options={"widths": list(widths), "depths": depths, **options})


NETWORKS = {
    "PAFPNeXt elanext_tiny": ModelConfig(encoder_name="elanext_tiny"),
    "PAFPNeXt elanext_nano": ModelConfig(encoder_name="elanext_nano"),
    "PAFPNeXt elanext_small": ModelConfig(encoder_name="elanext_small"),
    "DeepLabV3Plus resnet18": ModelConfig(arch="deeplabv3plus", encoder_name="resnet18"),
    "DeepLabV3Plus resnet50": ModelConfig(arch="deeplabv3plus", encoder_name="resnet50"),
    "FPN resnet18": ModelConfig(arch="fpn", encoder_name="resnet18"),
    "FPN resnet34": ModelConfig(arch="fpn", encoder_name="resnet34"),
    "Unet resnet18": ModelConfig(arch="unet", encoder_name="resnet18"),
    "Unet resnet34": ModelConfig(arch="unet", encoder_name="resnet34"),
    "UnetPlusPlus resnet18": ModelConfig(arch="unetplusplus", encoder_name="resnet18"),
    "SegFormer mit_b0": ModelConfig(arch="segformer", encoder_name="mit_b0"),
    "SegFormer mit_b1": ModelConfig(arch="segformer", encoder_name="mit_b1"),
    "SegNeXt mscan_tiny": ModelConfig(arch="segnext", encoder_name="mscan_tiny"),
    "UPerNet convnext_atto": ModelConfig(arch="upernet", encoder_name="tu-convnext_atto"),
    "UPerNet convnext_femto": ModelConfig(arch="upernet", encoder_name="tu-convnext_femto"),
    "UPerNet convnext_pico": ModelConfig(arch="upernet", encoder_name="tu-convnext_pico"),
    "UPerNet convnext_tiny": ModelConfig(arch="upernet", encoder_name="tu-convnext_tiny"),
    AS_PUBLISHED: _article(),
}


def named(*names: str) -> dict[str, ModelConfig]:
    """Of these networks the named ones, in the order of the names."""
    return {name: NETWORKS[name] for name in names}


COMPARISONS = {  # of accuracy.py
    "peers": named(
        "PAFPNeXt elanext_tiny",
        "PAFPNeXt elanext_nano",
        "PAFPNeXt elanext_small",
        "DeepLabV3Plus resnet18",
        "FPN resnet18",
        "Unet resnet18",
        "SegFormer mit_b0",
        "SegNeXt mscan_tiny",
        "UPerNet convnext_atto",
        "UPerNet convnext_femto",
        "UPerNet convnext_pico",
        "UPerNet convnext_tiny",
        "Unet resnet34",
        "FPN resnet34",
        "DeepLabV3Plus resnet50",
        "SegFormer mit_b1",
        AS_PUBLISHED,
    ),
    "ablation": {
        **named("PAFPNeXt elanext_tiny"),
        "384 channels at stride 32, not 256": ModelConfig(
            encoder_name="tu-elanext_tiny", options={"widths": [32, 64, 128, 256, 384]}
        ),
        "pyramid 96 wide, not 64": ModelConfig(options={"decoder_channels": 96}),
        "3x3 depthwise kernels, not 7x7": ModelConfig(
            encoder_name="tu-elanext_tiny", options={"kernel_size": 3, "decoder_kernel_size": 3}
        ),
        "LayerScale of 1e-6 in the encoder": ModelConfig(encoder_name="tu-elanext_tiny", options={"layer_scale": 1e-6}),
        "LayerNorm in encoder and pyramid": ModelConfig(
            encoder_name="tu-elanext_tiny", options={"norm": "layer", "decoder_norm": "layer"}
        ),
        "LayerNorm in encoder and pyramid, LayerScale of 1e-6": ModelConfig(
            encoder_name="tu-elanext_tiny", options={"norm": "layer", "layer_scale": 1e-6, "decoder_norm": "layer"}
        ),
    },
    "nano": {  # widths of the encoder at strides 2 to 32, and what else a cheap network could save on
        "24, 40, 80, 160, 256": _nano((24, 40, 80, 160, 256)),
        "32, 32, 64, 128, 256": _nano((32, 32, 64, 128, 256)),
        "16, 32, 64, 128, 256": _nano((16, 32, 64, 128, 256)),
        "32, 32, 64, 128, 256, one block at stride 4": _nano((32, 32, 64, 128, 256), stride_4_depth=1),
        "32, 32, 64, 128, 256, head 96 wide": _nano((32, 32, 64, 128, 256), head_channels=96),
        "32, 32, 64, 128, 256, pyramid 48 wide": _nano((32, 32, 64, 128, 256), decoder_channels=48),
    },
    "article": {  # each row has the changes of those above it, too
        **named(AS_PUBLISHED),
        "RepConv that folds": _article(rep="folding"),
        "BatchNorm for LayerNorm": _article(rep="folding", norm="batch"),
        "depthwise residual blocks in ELAN and SPPCSPC": _article(rep="folding", norm="batch", block="convnext"),
        "FuseHead, still at stride 8": _article(rep="folding", norm="batch", block="convnext", head="sum"),
        "PAFPNeXt elanext_tiny: 64 channels at every level, down to stride 4": ModelConfig(),
    },
}
CHAINS = ("article",)  # comparisons whose rows stay in their order
