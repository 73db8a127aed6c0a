"""Test images beside the training images that help and harm them most."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import sparse

from skinfluence.inspection.displays.base import Display, as_text
from skinfluence.inspection.displays.room import box_of, ruler, wrapped
from skinfluence.inspection.tables import pandas, plain
from skinfluence.inspection.words import effect_words, kind_of, target_words
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd

PLACE = (1.15, 1.65)
"""Width and height of an image with its texts, in inches, where the figure is ours."""

NARROW = 0.75
"""Width of a place, in inches, below which the images that harm go under those that help."""

TESTS = 4
"""Test rows that are drawn where nothing else is said."""


class ImagesDisplay(Display):
    """A line for every test image: the image, then the training images that help and harm it most.

    Over every training image stands what the row does, by how much the target would change
    without it, and its label; below it its name. On a narrow figure the images that harm lie under
    those that help.

    Parameters
    ----------
    tests : ndarray of shape (n_tests, height, width) or (n_tests, height, width, n_channels)
        Test images: grey, or of 3 or 4 channels.
    images : ndarray of shape (n_tests, 2 k, height, width), or with channels
        Training images for each of them: the k of the first word, then the k of the second.
    scores : ndarray of shape (n_tests, 2 k)
        Changes of the target if the row is removed; NaN where no image is to be drawn.
    labels : ndarray of shape (n_tests, 2 k)
        Names of the training rows.
    targets : ndarray of shape (n_tests, 2 k), optional
        What the training images were given as.
    test_labels : ndarray of shape (n_tests,), optional
        Names of the test rows; by default their positions.
    test_targets, predictions : ndarray of shape (n_tests,), optional
        What the test images were given as, and predicted as.
    target : str, default="loss"
        What the scores are changes of.
    words : tuple ((str, str), sign), optional
        As in `InfluenceDisplay`.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`; the axes whose place was divided, now empty but for the title.
    axes_ : ndarray of Axes, shape (n_tests, 1 + 2 k)
        After `plot`: of each test image and of its training images; None where there is none.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import ImagesDisplay
    >>> tests, images = np.zeros((1, 8, 8)), np.ones((1, 2, 8, 8))
    >>> display = ImagesDisplay(tests, images, np.array([[0.5, -0.2]]), np.array([[7, 3]]))
    >>> display.plot().axes_[0, 1].get_title()
    'helps +0.5'
    """

    axes_: Array

    def __init__(
        self,
        tests: Array,
        images: Array,
        scores: Array,
        labels: Array,
        *,
        targets: Array | None = None,
        test_labels: Array | None = None,
        test_targets: Array | None = None,
        predictions: Array | None = None,
        target: str = "loss",
        words: tuple[tuple[str, str], int] | None = None,
    ) -> None:
        self.tests = tests
        self.images = images
        self.scores = scores
        self.labels = labels
        self.targets = targets
        self.test_labels = np.arange(len(tests)) if test_labels is None else test_labels
        self.test_targets = test_targets
        self.predictions = predictions
        self.target = target
        self.words = effect_words(kind_of(target)) if words is None else words

    @classmethod
    def from_result(
        cls,
        result: Any,
        images_test: Any,
        y_test: Any = None,
        *,
        images: Any = None,
        shape: tuple[int, ...] | None = None,
        k: int = 3,
        tests: Any = None,
        predictions: Any = None,
    ) -> Self:
        """Return the display of the rows that move test images most.

        Parameters
        ----------
        result : Influence
            Of single test rows, in the order of `images_test`.
        images_test : array-like of shape (n_test, n_pixels) or (n_test, height, width, ...)
        y_test : array-like of shape (n_test,), optional
            Shown beside the test images.
        images : array-like, optional
            Of all training rows, like `images_test`; by default their own features, as they were
            given to `fit`.
        shape : tuple (height, width) or (height, width, n_channels), optional
            Of the images; by default they are grey squares.
        k : int, default=3
            Training images of either word.
        tests : array-like of int, optional
            Positions of the test rows that are drawn; the first four by default.
        predictions : array-like of shape (n_test,), optional
            Shown beside the test images.

        Returns
        -------
        ImagesDisplay

        Raises
        ------
        ValueError
            For pixels that are no square, where `shape` is not given; a result read from a file,
            where `images` are not; means over test rows.
        """
        if result.aggregate is not None:
            raise ValueError(
                f"An Influence with aggregate={result.aggregate!r} was given, which is about many "
                "test images at once; one with a line for every test row is accepted. Ask without "
                "aggregate=."
            )
        if images is None:
            if result.given is None:
                raise ValueError(
                    "No images were given, and this result was read from a file without its rows. "
                    "Pass images=, or X= and y= to load."
                )
            images = result.given.X
        at = np.arange(min(len(result.scores), TESTS) if tests is None else len(result.scores))
        at = at if tests is None else at[np.asarray(tests)]
        rows, scores = _both_ends(result, at, k)
        shown = as_images(images, rows.ravel(), shape)
        given = None if result.given is None else result.given.y
        return cls(
            as_images(images_test, at, shape),
            shown.reshape(*rows.shape, *shown.shape[1:]),
            scores,
            result.labels[rows],
            targets=None if given is None or np.ndim(given) > 1 else np.asarray(given)[rows],
            test_labels=result.test_labels[at],
            test_targets=None if y_test is None else np.asarray(y_test)[at],
            predictions=None if predictions is None else np.asarray(predictions)[at],
            target=result.target,
            words=(result.words, effect_words(kind_of(result.target), coming=result.coming)[1]),
        )

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        X_test: Any,
        y_test: Any = None,
        *,
        images_test: Any = None,
        images: Any = None,
        shape: tuple[int, ...] | None = None,
        k: int = 3,
        tests: Any = None,
        target: str = "loss",
        method: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the training images that help and harm test images most.

        Parameters
        ----------
        model : InfluenceClassifier or InfluenceRegressor
            Fitted.
        X_test, y_test
            As in `InfluenceClassifier.influence`.
        images_test, images : array-like, optional
            What test and training rows are images of, where their features are no pixels.
        shape, k, tests
            As in `from_result`.
        target, method
            As in `InfluenceClassifier.influence`.
        ax : matplotlib Axes, optional
            Its place is divided; a new figure by default.

        Returns
        -------
        ImagesDisplay
            Plotted.

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            As in `from_result` and in `InfluenceClassifier.influence`.
        """
        result = model.influence(X_test, y_test, target=target, method=method, top=k)
        display = cls.from_result(
            result,
            X_test if images_test is None else images_test,
            y_test,
            images=images,
            shape=shape,
            k=k,
            tests=tests,
            predictions=model.predict(X_test),
        )
        return display.plot(ax=ax)

    def frame(self) -> pd.DataFrame:
        """Return the numbers behind the picture, a line for every training image.

        Returns
        -------
        pandas.DataFrame
            Columns test, label and predicted (of the test image, where known), effect, row, target
            (what it was given as, where known) and score.

        Raises
        ------
        ImportError
            Without pandas.
        """
        t, j = np.nonzero(~np.isnan(self.scores))
        of_tests = {"test": self.test_labels, "label": self.test_targets}
        of_tests["predicted"] = self.predictions
        columns = {name: plain(of[t]) for name, of in of_tests.items() if of is not None}
        columns["effect"] = [self._word(score) for score in self.scores[t, j]]
        columns["row"] = plain(self.labels[t, j])
        if self.targets is not None:
            columns["target"] = plain(self.targets[t, j])
        return pandas().DataFrame({**columns, "score": self.scores[t, j]})

    def _word(self, score: float) -> str:
        (first, second), sign = self.words
        return first if sign * score > 0 else second

    def _size(self) -> tuple[float, float] | None:
        n_tests, n_images = self.scores.shape
        return PLACE[0] * (1 + n_images), PLACE[1] * n_tests + 0.3

    def _draw(self, ax: Any) -> None:
        n_tests, n_images = self.scores.shape
        whole, inches = box_of(ax).width, box_of(ax).width / ax.figure.dpi
        deep = 2 if inches / (1 + n_images) < NARROW and n_images > 1 else 1
        across = 1 + n_images // deep
        heading, *places = _divided(ax, deep * n_tests, across)
        font = float(np.clip(8.0 * inches / across / PLACE[0], 6.0, 9.0))
        size = ruler(ax, fontsize=font)
        room = 0.94 * whole / across
        every = np.concatenate([self.tests[:, None], self.images], axis=1)
        known = np.insert(~np.isnan(self.scores), 0, True, axis=1)
        limits = {"vmin": every[known].min(), "vmax": every[known].max()}
        self.axes_ = np.full(known.shape, None, dtype=object)
        for t, j in zip(*np.nonzero(known), strict=True):
            down, right = divmod(j - 1, across - 1) if j else (0, -1)
            place = ax.figure.add_subplot(places[(deep * t + down) * across + right + 1])
            place.imshow(_as_colours(every[t, j]), cmap="gray", **limits)
            place.set(xticks=[], yticks=[])
            *above, below = (
                wrapped(as_text(text, None), room, size, lines=2 if deep == 1 or first else 1)
                for first, text in zip((j > 0, False, False), self._texts(t, j), strict=False)
            )
            place.set_title("\n".join(above), fontsize=font, pad=3)
            place.set_xlabel(below, fontsize=font, labelpad=2)
            self.axes_[t, j] = place
        head = ax.figure.add_subplot(heading)
        text = f"Change of {target_words(self.target)} if the row is removed"
        text = wrapped(text, 0.98 * whole, ruler(ax, fontsize=9))
        head.text(0.5, 0.5, text, fontsize=9, ha="center", va="center")
        for empty in (head, ax):
            empty.set(xticks=[], yticks=[])
            empty.set_axis_off()

    def _texts(self, t: int, j: int) -> list[str]:
        """Return what stands above an image, then what below; the first is the test image."""
        if j == 0:
            named = (("label", self.test_targets), ("predicted", self.predictions))
            above = [f"{name} {of[t]}" for name, of in named if of is not None]
            return [*above, f"test {self.test_labels[t]}"]
        score = self.scores[t, j - 1]
        above = [f"{self._word(score)} {score:+.2g}"]
        if self.targets is not None:
            above.append(f"label {self.targets[t, j - 1]}")
        return [*above, f"row {self.labels[t, j - 1]}"]


def as_images(values: Any, rows: Array, shape: tuple[int, ...] | None = None) -> Array:
    """Return some rows as images.

    Parameters
    ----------
    values : array-like of shape (n_rows, n_pixels) or (n_rows, height, width[, n_channels])
    rows : ndarray of int
    shape : tuple, optional
        (height, width) or (height, width, n_channels); by default pixels are a grey square.

    Returns
    -------
    ndarray of shape (len(rows), *shape)

    Raises
    ------
    ValueError
        For pixels that are no numbers, no square, or not as many as the shape has.
    """
    dense = not sparse.issparse(values)
    pixels = np.asarray(values)[rows] if dense else values.tocsr()[rows].toarray()
    if pixels.dtype.kind not in "biuf":
        raise ValueError(
            f"Images of type {pixels.dtype} were given; numbers are accepted. Where the features "
            "are no pixels pass images= and images_test=."
        )
    if pixels.ndim > 2 and shape is None:
        return pixels
    n_pixels = int(np.prod(pixels.shape[1:]))
    side = isqrt(n_pixels)
    if shape is None and side * side != n_pixels:
        raise ValueError(
            f"Images of {n_pixels} pixels were given, which are no square; a shape of as many "
            "pixels is accepted. Pass shape=(height, width), or (height, width, n_channels)."
        )
    shape = (side, side) if shape is None else tuple(shape)
    if int(np.prod(shape)) != n_pixels:
        raise ValueError(
            f"shape={shape} was given, but the images have {n_pixels} pixels; a shape of as many "
            "is accepted."
        )
    return pixels.reshape(len(pixels), *shape)


def _both_ends(result: Any, tests: Array, k: int) -> tuple[Array, Array]:
    """Return the k rows at either end for each test row, and their scores, NaN where none is."""
    rows = np.zeros((len(tests), 2 * k), dtype=int)
    scores = np.full((len(tests), 2 * k), np.nan)
    for line, ends in enumerate(result._ends(k, tests)):
        for first, (found, values) in zip((0, k), ends, strict=True):
            rows[line, first : first + len(found)] = found
            scores[line, first : first + len(found)] = values
    return rows, scores


def _as_colours(image: Array) -> Array:
    """Return colours as matplotlib takes them: numbers from 0 to 1, or bytes."""
    if image.ndim == 3 and image.dtype.kind == "f" and image.max() > 1.0:
        return image / 255.0
    return image


def _divided(ax: Any, n_lines: int, n_columns: int) -> list[Any]:
    """Return a place for a heading, then places line by line, where some axes are."""
    spec, figure = ax.get_subplotspec(), ax.figure
    params: dict[str, Any] = {"height_ratios": [0.2, *[1.0] * n_lines]}
    if spec is None or figure.get_layout_engine() is None:
        params |= {"wspace": 0.15, "hspace": 0.9}  # what no layout engine finds out
    if spec is None:
        place = ax.get_position()
        sides = {"left": place.x0, "right": place.x1, "bottom": place.y0, "top": place.y1}
        grid = figure.add_gridspec(1 + n_lines, n_columns, **sides, **params)
    else:
        grid = spec.subgridspec(1 + n_lines, n_columns, **params)
    places = [grid[line, column] for line in range(1, 1 + n_lines) for column in range(n_columns)]
    return [grid[0, :], *places]
