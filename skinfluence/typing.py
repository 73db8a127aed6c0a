"""The one name for an array, of whatever numbers."""

from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
