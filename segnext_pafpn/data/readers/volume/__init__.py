"""Volumes and what is cut out of them: NIfTI, TIFF stacks, numpy arrays, and pictures as volumes of one slice.

Every file becomes an array (D, H, W, C) and every slice (h, w, C), where D is the first axis of a TIFF or numpy stack
and the third of a NIfTI file (whose axes are taken in the order k, j, i, as SimpleITK and nnU-Net do).
"""
