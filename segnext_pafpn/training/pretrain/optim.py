"""AdamW with timm's parameter groups: no decay on norms, biases and LayerScale; learning rates by depth."""

from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from segnext_pafpn.training.optim import refuse_unfit, shortened, warmup_cosine
from segnext_pafpn.training.pretrain.config import PretrainOptimConfig


def scaled_lr(config: PretrainOptimConfig, pictures: int) -> float:
    """The learning rate for ``pictures`` per optimizer step (linear scaling, arXiv 1706.02677)."""
    return config.lr if config.lr_batch_size is None else config.lr * pictures / config.lr_batch_size


def warmup_of(config: PretrainOptimConfig, steps_per_epoch: int, total_steps: int) -> int:
    """The warmup's steps, shortened for a short run as those of train.

    Raises:
        UserError: naming a setting that cannot be.
    """
    batch, decay = config.lr_batch_size, config.layer_decay
    refuse_unfit(
        config,
        ("warmup_epochs", config.warmup_epochs >= 0, "0 or more"),
        ("lr_batch_size", batch is None or batch >= 1, "at least 1, or null"),
        ("layer_decay", decay is None or 0 < decay <= 1, "more than 0 and at most 1, or null"),
    )
    return shortened(config.warmup_epochs * steps_per_epoch, total_steps)


def parameter_groups(model: nn.Module, config: PretrainOptimConfig, lr: float) -> list[dict]:
    """Groups of one weight decay and one learning rate.

    With ``layer_decay`` d the classifier learns at ``lr``, the layer before it at ``d * lr``, and so on down to
    the stem, as the model's ``group_matcher`` counts layers.
    """
    free = model.no_weight_decay() if hasattr(model, "no_weight_decay") else ()
    if config.layer_decay is None:
        groups = param_groups_weight_decay(model, config.weight_decay, no_weight_decay_list=free)
    else:
        groups = param_groups_layer_decay(
            model, config.weight_decay, no_weight_decay_list=free, layer_decay=config.layer_decay
        )
    return [{**group, "lr": lr * group.get("lr_scale", 1.0)} for group in groups]


def build_optimizer(
    model: nn.Module, config: PretrainOptimConfig, lr: float, warmup_steps: int, total_steps: int
) -> tuple[AdamW, LambdaLR]:
    """AdamW, and its schedule over ``total_steps`` optimizer steps up to ``lr``."""
    optimizer = AdamW(parameter_groups(model, config, lr), lr=lr, betas=config.betas)
    return optimizer, warmup_cosine(optimizer, warmup_steps, min(1.0, config.min_lr / lr), total_steps)
