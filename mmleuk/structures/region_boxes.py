# Copyright (c) mmleuk authors. All rights reserved.
import functools
from typing import Any, Callable, Optional, Sequence, Tuple, Type, TypeVar

import cv2
import numpy as np
import torch
from mmdet.structures.bbox import (
    BaseBoxes,
    HorizontalBoxes,
    register_box,
    register_box_converter,
)
from shapely.geometry.base import BaseGeometry
from torch import BoolTensor, Tensor

from .regions import cut_area, join_areas, move_area

T = TypeVar('T', bound='RegionBoxes')

# Methods of the parents that make new boxes of the same image.
_METHODS_OF_SAME_IMAGE = (
    '__getitem__',
    'empty_boxes',
    'fake_boxes',
    'to',
    'cpu',
    'cuda',
    'clone',
    'detach',
    'view',
    'reshape',
    'expand',
    'repeat',
    'transpose',
    'permute',
    'split',
    'chunk',
    'unbind',
    'flatten',
    'squeeze',
    'unsqueeze',
)


def _carry_area(cls: type) -> type:
    """Let the methods that make new boxes hand the un-annotated area on."""

    def carrying(method: Callable) -> Callable:

        @functools.wraps(method)
        def wrapper(self: T, *args, **kwargs) -> Any:
            made = method(self, *args, **kwargs)
            for boxes in made if isinstance(made, list) else [made]:
                boxes.unannotated = self.unannotated
                boxes.is_cut = self.is_cut
            return made

        return wrapper

    for name in _METHODS_OF_SAME_IMAGE:
        setattr(cls, name, carrying(getattr(cls, name)))
    return cls


@register_box('region_hbox')
@_carry_area
class RegionBoxes(HorizontalBoxes):
    """Horizontal boxes that know which area of their image is un-annotated.

    Every geometric transform of MMDetection moves the boxes of an image by
    the methods of :class:`HorizontalBoxes`. Here the same call moves the
    un-annotated area by the same map, and boxes joined in one image (Mosaic,
    MixUp) join their areas. So the area is right after any chain of
    transforms, without a transform of its own.

    The area is cut at the frame of the image wherever a transform tells the
    frame: in :meth:`clip_`, :meth:`flip_` and :meth:`is_inside`. Between a
    crop that tells none (``MinIoURandomCrop(bbox_clip_border=False)``, the
    only one) and the next transform that does, the area may reach over the
    edge of the image. It then covers padding, or a neighbour in a mosaic,
    which costs annotated area and never calls un-annotated area annotated.

    Args:
        data (Tensor | np.ndarray | Sequence): Boxes (x1, y1, x2, y2) in
            pixels, shape (n, 4).
        dtype (torch.dtype, optional): Data type of the boxes.
        device (str | torch.device, optional): Device of the boxes.
        clone (bool): Whether to clone ``data``. Defaults to True.
        in_mode (str, optional): 'cxcywh' if ``data`` are centres and sizes.
        unannotated (BaseGeometry, optional): Un-annotated area of the image
            in pixels. None: all of the image is annotated.
        is_cut (bool): Whether ``unannotated`` lies inside the image's frame.
            Defaults to True.
    """

    def __init__(
        self,
        data: Any,
        dtype: Optional[torch.dtype] = None,
        device: Any = None,
        clone: bool = True,
        in_mode: Optional[str] = None,
        unannotated: Optional[BaseGeometry] = None,
        is_cut: bool = True,
    ) -> None:
        super().__init__(
            data, dtype=dtype, device=device, clone=clone, in_mode=in_mode
        )
        self.unannotated = unannotated
        self.is_cut = is_cut

    def __deepcopy__(self: T, memo: dict) -> T:
        other = super().__deepcopy__(memo)
        # Geometries of shapely are immutable: sharing one is a copy.
        other.unannotated = self.unannotated
        other.is_cut = self.is_cut
        return other

    @property
    def _is_area_alone(self) -> bool:
        """bool: Whether there is un-annotated area to move but no box."""
        return self.tensor.size(0) == 0 and self.unannotated is not None

    def __len__(self) -> int:
        """Number of boxes, but 1 where there is an area and no box.

        ``RandomAffine`` leaves boxes alone when ``len(boxes) == 0`` and warps
        the image all the same. This is the only place where it can be told
        that there is something to move. Use ``boxes.shape[0]`` for the number
        of boxes.
        """
        return 1 if self._is_area_alone else self.tensor.size(0)

    @property
    def centers(self) -> Tensor:
        """Tensor: Centres (x, y) of the boxes, shape (n, 2).

        Raises:
            NotImplementedError: If there is un-annotated area and no box.
                ``RandomCenterCropPad``, the only transform that asks, would
                look for a crop with a centre inside for ever.
        """
        if self._is_area_alone:
            raise NotImplementedError(
                'got an image with un-annotated area and no box, expected at '
                'least one box: this transform (RandomCenterCropPad?) crops '
                'around boxes and cannot move the area alone. Use RandomCrop, '
                'or filter images without boxes (filter_empty_gt=True)'
            )
        return HorizontalBoxes.centers.fget(self)

    @staticmethod
    def overlaps(
        boxes1: BaseBoxes,
        boxes2: BaseBoxes,
        mode: str = 'iou',
        is_aligned: bool = False,
        eps: float = 1e-6,
    ) -> Tensor:
        """Overlaps of two sets of boxes, see :class:`HorizontalBoxes`.

        Where ``boxes2`` are an un-annotated area and no box, the overlap with
        one pretended box is -1. ``MinIoURandomCrop`` would else crop such an
        image without a word to its boxes; so it finds no patch that overlaps
        enough and leaves the image as it is.

        Returns:
            Tensor: Shape (m, n), or (m, ) if ``is_aligned``.
        """
        if isinstance(boxes2, RegionBoxes) and boxes2._is_area_alone:
            return boxes1.tensor.new_full((boxes1.shape[0], 1), -1)
        return HorizontalBoxes.overlaps(
            boxes1, boxes2, mode=mode, is_aligned=is_aligned, eps=eps
        )

    @classmethod
    def cat(cls: Type[T], box_list: Sequence[T], dim: int = 0) -> T:
        """Join boxes and unite the un-annotated areas.

        Args:
            box_list (Sequence[RegionBoxes]): Boxes of images that lie in one
                canvas.
            dim (int): Dimension along which to join. Defaults to 0.

        Returns:
            RegionBoxes: All boxes. A pixel is un-annotated where it is so in
            any of the images.
        """
        return cls._join(super().cat(box_list, dim=dim), box_list)

    @classmethod
    def stack(cls: Type[T], box_list: Sequence[T], dim: int = 0) -> T:
        """Stack boxes and unite the un-annotated areas, see :meth:`cat`."""
        return cls._join(super().stack(box_list, dim=dim), box_list)

    @staticmethod
    def _join(joined: T, box_list: Sequence[T]) -> T:
        joined.unannotated = join_areas(
            boxes.unannotated for boxes in box_list
        )
        joined.is_cut = all(boxes.is_cut for boxes in box_list)
        return joined

    def _cut(self, img_shape: Tuple[int, int]) -> None:
        """Cut the area at the frame of the image."""
        self.unannotated = cut_area(self.unannotated, img_shape[:2])
        self.is_cut = True

    def _move(self, matrix: Any) -> None:
        """Map the area by a homography, to an image of unknown frame."""
        self.unannotated = move_area(self.unannotated, np.asarray(matrix))
        self.is_cut = False

    def flip_(
        self, img_shape: Tuple[int, int], direction: str = 'horizontal'
    ) -> None:
        """Flip boxes and area in place.

        Args:
            img_shape (tuple[int, int]): Height and width of the image.
            direction (str): 'horizontal', 'vertical' or 'diagonal'. Defaults
                to 'horizontal'.
        """
        super().flip_(img_shape, direction)
        height, width = img_shape[:2]
        matrix = np.eye(3)
        if direction in ('horizontal', 'diagonal'):
            matrix[0, [0, 2]] = -1, width
        if direction in ('vertical', 'diagonal'):
            matrix[1, [1, 2]] = -1, height
        self._move(matrix)
        self._cut(img_shape)

    def translate_(self, distances: Tuple[float, float]) -> None:
        """Shift boxes and area in place.

        Args:
            distances (tuple[float, float]): Shift along x and y in pixels.
        """
        super().translate_(distances)
        matrix = np.eye(3)
        matrix[:2, 2] = distances
        self._move(matrix)

    def rescale_(self, scale_factor: Tuple[float, float]) -> None:
        """Scale boxes and area in place, as the image is.

        Args:
            scale_factor (tuple[float, float]): Factors along x and y.
        """
        super().rescale_(scale_factor)
        self._move(np.diag([*scale_factor, 1.0]))

    def rotate_(self, center: Tuple[float, float], angle: float) -> None:
        """Rotate boxes and area in place.

        Args:
            center (tuple[float, float]): Origin (x, y) of the rotation.
            angle (float): Angle in degrees, positive for clockwise.
        """
        super().rotate_(center, angle)
        matrix = np.eye(3)
        matrix[:2] = cv2.getRotationMatrix2D(center, -angle, 1)
        self._move(matrix)

    def project_(self, homography_matrix: Any) -> None:
        """Map boxes and area by a homography in place.

        Args:
            homography_matrix (Tensor | np.ndarray): Homography of the
                coordinates, shape (3, 3).
        """
        super().project_(homography_matrix)
        if isinstance(homography_matrix, Tensor):
            homography_matrix = homography_matrix.cpu().numpy()
        self._move(homography_matrix)

    def clip_(self, img_shape: Tuple[int, int]) -> None:
        """Clip boxes and area at the frame of the image in place.

        Args:
            img_shape (tuple[int, int]): Height and width of the image.
        """
        super().clip_(img_shape)
        self._cut(img_shape)

    def is_inside(
        self,
        img_shape: Tuple[int, int],
        all_inside: bool = False,
        allowed_border: int = 0,
    ) -> BoolTensor:
        """Find boxes inside the image, and cut the area at its frame.

        Transforms that do not clip boxes (``bbox_clip_border=False``) tell
        the frame of the image here alone.

        Args:
            img_shape (tuple[int, int]): Height and width of the image.
            all_inside (bool): Whether all of the box must be inside. Defaults
                to False.
            allowed_border (int): Pixels that a box may reach over the frame.
                Defaults to 0.

        Returns:
            BoolTensor: Shape (n, ).
        """
        self._cut(img_shape)
        return super().is_inside(img_shape, all_inside, allowed_border)


# Without this, boxes of the two types could not be compared.
register_box_converter('region_hbox', 'hbox', lambda tensor: tensor)
