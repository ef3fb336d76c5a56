"""Images of SimpleITK that lie where an affine says."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray


def lay(image: SimpleITK.Image, affine: NDArray[Any]) -> None:
    """Lay an image by the affine (RAS+) of its voxel indices x, y, z."""
    matrix = np.diag([-1, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((matrix[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(matrix[:3, 3].tolist())
