# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, Iterator, Optional, Tuple

from mmengine.dist import all_gather_object
from mmengine.model import BaseModule
from mmengine.structures import InstanceData


class DetectionBank(BaseModule):
    """What a teacher last found in each image, in the image's own pixels.

    One pass of a teacher over the fields serves every view of them until the
    next. Entries lie in the memory of the host, and in checkpoints: the bank
    is a module for its state alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._entries: Dict[str, InstanceData] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, img_path: str) -> Optional[InstanceData]:
        """Fetch the detections of an image, None if there is no entry.

        Args:
            img_path (str): Path of the image, which names it.

        Returns:
            :obj:`InstanceData` | None: The detections, on the CPU.
        """
        return self._entries.get(img_path)

    def put(self, img_path: str, detections: InstanceData) -> None:
        """Store the detections of an image in place of earlier ones.

        Args:
            img_path (str): Path of the image.
            detections (:obj:`InstanceData`): The detections.
        """
        self._entries[img_path] = detections.cpu()

    def items(self) -> Iterator[Tuple[str, InstanceData]]:
        """Go through the entries, in the order of the paths.

        Yields:
            tuple[str, :obj:`InstanceData`]: Path and detections.
        """
        for img_path in sorted(self._entries):
            yield img_path, self._entries[img_path]

    def clear(self) -> None:
        """Forget all detections."""
        self._entries.clear()

    def gather(self) -> None:
        """Give every process of a distributed run the entries of all."""
        for entries in all_gather_object(self._entries):
            self._entries.update(entries)

    def get_extra_state(self) -> Dict[str, dict]:
        """Give the entries as plain tensors, for a checkpoint.

        Returns:
            dict[str, dict]: Fields and metainfo by path.
        """
        return {
            img_path: dict(
                fields=dict(detections.items()),
                metainfo=dict(detections.metainfo_items()),
            )
            for img_path, detections in self.items()
        }

    def set_extra_state(self, state: Dict[str, dict]) -> None:
        """Take the entries of a checkpoint.

        Args:
            state (dict[str, dict]): Fields and metainfo by path.
        """
        self._entries = {
            img_path: InstanceData(
                metainfo=entry['metainfo'], **entry['fields']
            )
            for img_path, entry in state.items()
        }
