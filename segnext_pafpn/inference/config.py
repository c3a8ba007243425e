"""What to predict. Does without torch, so that the command line can say at once what is wrong with it."""

from dataclasses import dataclass

MAX_PIXELS = 2**22


@dataclass(kw_only=True)
class PredictConfig:
    """Which images a model labels, and what is written.

    Args:
        checkpoint: folder of a finished run (runs/NAME) or its model/ folder.
        input: an image, a folder of images, or a quoted glob such as 'photos/**/*.jpg'; for images that have a file
            for each channel a list of patterns, such as "['scans/{name}_t1.tif', 'scans/{name}_t2.tif']"; for a model
            of volumes a volume, or a folder of volumes named as those of training, such as nnU-Net's imagesTs.
        output: folder for the masks, PNGs of class ids named like their images; label volumes in the volumes' form.
            Where a pixel may be of several classes, black and white PNGs in a folder for each class.
        device: auto, cpu, cuda, cuda:1 or mps.
        color: also write the masks in their classes' colours, to OUTPUT/color.
        overlay: also write the images under those colours, to OUTPUT/overlay.
        overlap: of neighbouring windows, as a fraction of a window, 0 to 0.9.
        max_pixels: an image with more pixels is predicted in overlapping windows of 768x768.
    """

    checkpoint: str
    input: list[str] | str
    output: str
    device: str = "auto"
    color: bool = False
    overlay: bool = False
    overlap: float = 0.5
    max_pixels: int = MAX_PIXELS
