"""One numba type for all buffers."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Item = TypeVar("Item", bound=np.generic)


def read_only(array: npt.NDArray[Item]) -> npt.NDArray[Item]:
    """Return a read-only view of `array`.

    Arrow's buffers are read-only, numpy's are not, and numba compiles a kernel anew for each
    kind; passing every input through here keeps one compilation.
    """
    view = array.view()
    view.flags.writeable = False
    return view
