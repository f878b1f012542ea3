"""Makes what is released of each picture: the one copy into the release ring, in whatever form."""

from __future__ import annotations

import cv2
import numpy as np

from edge.cameras.layout import Layout
from edge.frames.output_format import OutputFormat, Part
from edge.masking.blocks import Levels
from edge.masking.mask import Mask

_NONE_YET: Levels = np.zeros((0, 0), np.uint8)


class Shaper:
    """Writes the released form of each picture of one camera."""

    def __init__(self, form: OutputFormat, layout: Layout, height: int, width: int) -> None:
        """`height` and `width` are the camera's, in pixels.

        Raises:
            RecordError: the form leaves less than 16 pixels of a side.
        """
        self._layout = layout
        self._whole, self._grey, self._shrink = form.whole, form.grey, form.shrink
        part = Part.of(form, height, width)
        self._top, self._left, self.shape, self.bytes = part.top, part.left, part.shape, part.bytes
        self._masked: np.ndarray | None = None  # where a picture is masked before it is reduced
        self._fixed: Levels | None = _NONE_YET  # of the masks so far
        self._same = False  # whether all of them had the same one

    def write(self, picture: np.ndarray, place: np.ndarray, mask: Mask) -> None:
        """Write the released form of `picture` to `place`, through the mask.

        Args:
            picture: of the camera's layout and size; only read.
            place: uint8, of `shape`; zero where this object has not written.
            mask: of the camera's size.
        """
        if mask.fixed is not self._fixed:
            self._note(mask.fixed)
        if mask.clear:
            self._write(picture, place)
        elif self._whole and not self._grey and not self._layout.planar:
            mask.copy(picture, place, self._layout, prepared=self._same)  # the form is the picture
        else:  # masked before anything else is done with it, so that no edge is mixed
            if self._masked is None:
                self._masked = np.zeros_like(picture)
            mask.copy(picture, self._masked, self._layout)
            self._write(self._masked, place)
            self._masked.fill(0)  # nothing of a withheld frame stays behind

    def _note(self, fixed: Levels | None) -> None:
        """Take notice of another fixed mask.

        As long as every mask has the same fixed places, no frame was ever written there, and they
        are as they were at first: zero, black.
        """
        self._same = self._fixed is _NONE_YET
        self._fixed = fixed

    def _write(self, picture: np.ndarray, place: np.ndarray) -> None:
        layout = self._layout
        if self._grey and layout.planar:
            self._cut(layout.planes(picture)[0], place, 1)
        elif not self._grey and not layout.planar:
            self._cut(picture, place, 1)
        elif self._grey and self._shrink == 1:
            cv2.cvtColor(self._part(picture, place.shape, 1), cv2.COLOR_BGR2GRAY, dst=place)
        elif self._whole:
            layout.bgr(picture, place)
        else:  # made small first, so that the conversion costs what the small picture costs
            rows, columns = place.shape[:2]
            small = np.empty(layout.shape(rows, columns), np.uint8)
            for plane, less in zip(layout.planes(picture), layout.planes(small), strict=True):
                self._cut(plane, less, picture.shape[1] // plane.shape[1])
            if self._grey:
                cv2.cvtColor(small, cv2.COLOR_BGR2GRAY, dst=place)
            else:
                layout.bgr(small, place)
            small.fill(0)  # nothing of a withheld frame stays behind

    def _cut(self, plane: np.ndarray, place: np.ndarray, coarse: int) -> None:
        """Crop and shrink one plane, whose pixels are `coarse` camera pixels wide and high."""
        part = self._part(plane, place.shape, coarse)
        if self._shrink == 1:
            np.copyto(place, part)
        else:
            size = place.shape[1], place.shape[0]
            cv2.resize(part, size, dst=place, interpolation=cv2.INTER_AREA)

    def _part(self, plane: np.ndarray, shape: tuple[int, ...], coarse: int) -> np.ndarray:
        """The cropped pixels of `plane` that become a picture of `shape`."""
        top, left = self._top // coarse, self._left // coarse
        return plane[top : top + shape[0] * self._shrink, left : left + shape[1] * self._shrink]
