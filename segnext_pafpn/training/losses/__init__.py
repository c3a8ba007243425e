"""What a network is trained to minimise, over the labelled pixels of a batch.

B pictures of H x W pixels, K classes. In the mode ``softmax`` a pixel is of one class: ``target`` is (B, H, W) of class
ids and ``ignore_index``, in any type of whole numbers, and K is 2 or more. In the mode ``sigmoid`` it may be of several
or none: ``target`` is (B, K, H, W) of 0, 1 and ``ignore_index``, or of floats between them (soft labels; not for the
Lovasz loss and the boundary loss, which ask who is in a class). Logits are (B, K, H, W) in both. A batch without
labelled pixels costs 0. All raise ValueError for a mode that is none and for a target that does not fit the logits.
"""

from segnext_pafpn.training.loss_config import LossConfig
from segnext_pafpn.training.losses.boundary import boundary_loss, signed_distances
from segnext_pafpn.training.losses.pixel import cross_entropy, focal_loss, ohem_cross_entropy
from segnext_pafpn.training.losses.region import dice_loss, lovasz_loss, tversky_loss
from segnext_pafpn.training.losses.segmentation import SegmentationLoss
from segnext_pafpn.training.losses.weights import balanced_weights

__all__ = [
    "LossConfig",
    "SegmentationLoss",
    "balanced_weights",
    "boundary_loss",
    "cross_entropy",
    "dice_loss",
    "focal_loss",
    "lovasz_loss",
    "ohem_cross_entropy",
    "signed_distances",
    "tversky_loss",
]
