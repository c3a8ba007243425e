"""What to predict. Does without torch, so that the command line can say at once what is wrong with it."""

from dataclasses import dataclass

from segnext_pafpn.errors import UserError

MAX_PIXELS = 2**22
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")  # Lightning's names


@dataclass(kw_only=True)
class PredictConfig:
    """Which images a model labels, and what is written.

    Args:
        checkpoint: folder of a finished run (runs/NAME) or its model/ folder; of a list of them, such as the runs on
            all folds, "[runs/a-0, runs/a-1]", the logits are averaged, and tuned thresholds.
        input: also -i: an image, a folder with images directly in it, a quoted glob such as 'photos/**/*.jpg', or a
            .txt with the path of an image a line; for images that have a file for each channel a list of patterns,
            such as "['scans/{name}_t1.tif', 'scans/{name}_t2.tif']"; for a model of volumes a volume, or a folder of
            volumes named as those of training, such as nnU-Net's imagesTs.
        output: also -o: folder for the masks, PNGs of class ids named like their images ({name} of those with a file
            for each channel); label volumes in the volumes' form. Where a pixel may be of several classes, black and
            white PNGs in a folder for each class. Not the folder of the images.
        keep_folders: write the masks of a glob or list into folders as those that the images lie in, from the one that
            all of them share on.
        overwrite: replace files that are there already, which otherwise are left and refused.
        device: auto, cpu, cuda, cuda:1 or mps.
        ids: write the ids that the data's own masks have for the classes, the first of each class's `ids` in the card
            (Cityscapes' labelIds, for its server), in place of the class's place in the card; 16-bit where one is
            above 255.
        color: also write the masks in their classes' colours, to OUTPUT/color; not for volumes.
        overlay: also write the images under those colours, to OUTPUT/overlay; not for volumes.
        save_probabilities: also write the classes' probabilities to OUTPUT/probabilities/NAME.npz, as
            'probabilities', float16, in the card's order of classes: (K, H, W), or (K, D, H, W) of a volume, NIfTI's
            axes in reverse.
        tta: test-time augmentation, over which logits are averaged: none; flip, the image and its mirror image (2
            times the work); flips, mirrored left to right, top to bottom and both (4 times), for images without an
            upper side alone; multi-scale, six sizes from half to 1.75 times and their mirror images (about 20 times).
            None of them where left and right are classes.
        window: side of the windows in pixels.
        overlap: of neighbouring windows, as a fraction of a window, 0 to 0.9.
        max_pixels: an image with more pixels is predicted in overlapping windows.
        precision: 32-true, bf16-mixed or 16-mixed. The halves are faster where the device has them: GPUs, and CPUs
            with AMX or AVX512-BF16.
        compile: compile the network with torch.compile; the first image of each size takes up to minutes, so that it
            pays for many images.
        batch_size: images of equal size, windows or slices that go through the network at once, as long as they have
            no more than max_pixels together.
        num_workers: threads that read images ahead and write masks behind.
    """

    checkpoint: list[str] | str
    input: list[str] | str
    output: str
    keep_folders: bool = False
    overwrite: bool = False
    device: str = "auto"
    ids: bool = False
    color: bool = False
    overlay: bool = False
    save_probabilities: bool = False
    tta: str = "none"
    window: int = 768
    overlap: float = 0.5
    max_pixels: int = MAX_PIXELS
    precision: str = "32-true"
    compile: bool = False
    batch_size: int = 4
    num_workers: int = 2

    def __post_init__(self) -> None:
        if self.num_workers < 1:
            raise UserError(f"num_workers: found {self.num_workers}, expected at least 1.")
