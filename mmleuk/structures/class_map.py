# Copyright (c) mmleuk authors. All rights reserved.
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union

from .metainfo import CLASS_MAPS, LLD_CLASSES
from .record import normalise_name

# The target that makes cells ignored, and the source that stands for all
# classes that are not named.
IGNORE = 'ignore'
ANY = '*'

ClassMapConfig = Union[str, Mapping[str, Optional[str]], None]


class ClassMap:
    """Maps the class names of annotations to those of a dataset.

    Args:
        class_map (str | Mapping[str, str | None], optional): Target by class
            name: another class name, ``'ignore'`` for ignored cells, or None
            to drop them, which makes them background. The key ``'*'`` stands
            for all classes that are not named; without it these keep their
            names. A string names one of ``CLASS_MAPS``: ``'wbc'`` or
            ``'blast'``. None keeps all names.

    Raises:
        ValueError: If the string names no map.
        TypeError: If a target is neither a string nor None.
    """

    def __init__(self, class_map: ClassMapConfig = None) -> None:
        if isinstance(class_map, str):
            if class_map not in CLASS_MAPS:
                raise ValueError(
                    f'class_map is {class_map!r}, expected one of '
                    f'{list(CLASS_MAPS)} or a dict'
                )
            class_map = CLASS_MAPS[class_map]
        self.targets: Dict[str, Optional[str]] = {}
        for name, target in (class_map or {}).items():
            if not isinstance(target, (str, type(None))):
                raise TypeError(
                    f'class_map turns {name!r} into {target!r}, expected a '
                    'class name, "ignore" or None'
                )
            self.targets[normalise_name(name)] = target and normalise_name(
                target
            )

    def __bool__(self) -> bool:
        return bool(self.targets)

    def __call__(self, name: str) -> Optional[str]:
        """Map a normalised class name to its normalised target."""
        return self.targets.get(name, self.targets.get(ANY, name))

    def classes(self) -> Tuple[str, ...]:
        """List the targets of LLD's classes and of the map, each once."""
        targets = [self(name) for name in LLD_CLASSES]
        targets += [
            target for name, target in self.targets.items() if name != ANY
        ]
        return tuple(
            dict.fromkeys(
                target for target in targets if target not in (None, IGNORE)
            )
        )

    def differences(
        self, other: 'ClassMap', names: Optional[Sequence[str]] = None
    ) -> Dict[str, Tuple[Optional[str], Optional[str]]]:
        """Compare the targets of two maps.

        Args:
            other (ClassMap): The other map.
            names (Sequence[str], optional): Class names to compare; None
                compares all that one of the maps states, ``'*'`` included.

        Returns:
            dict[str, tuple]: Targets of this and of the other map, by the
            name that they differ for.
        """
        stated = {*self.targets, *other.targets}
        if names is not None:
            stated.intersection_update(map(normalise_name, names))
        return {
            name: (self(name), other(name))
            for name in sorted(stated)
            if self(name) != other(name)
        }


class LabelMap:
    """Maps the class names of annotations to labels of a dataset.

    Args:
        class_map (ClassMap): The map of class names.
        classes (Sequence[str]): Classes of the dataset, in the order of their
            labels.

    Raises:
        ValueError: If two classes have the same name but for casing.
    """

    def __init__(self, class_map: ClassMap, classes: Sequence[str]) -> None:
        self.class_map = class_map
        self.classes: List[str] = [normalise_name(name) for name in classes]
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f'class names must differ, got {list(classes)}')
        self._labels = {name: i for i, name in enumerate(self.classes)}

    def __call__(
        self, category: str, ignored: bool
    ) -> Optional[Tuple[int, bool]]:
        """Label one cell.

        Args:
            category (str): Normalised class name of the annotation.
            ignored (bool): Whether the annotation ignores the cell.

        Returns:
            tuple[int, bool] | None: Label and whether the cell is ignored;
            None to drop the cell. The label of an ignored cell is 0, and not
            used, if its class is none of the dataset's.

        Raises:
            KeyError: If the class is none of the dataset's.
        """
        target = self.class_map(category)
        if target is None:
            return None
        ignored = ignored or target == IGNORE
        if ignored:
            return self._labels.get(target, 0), True
        return self._labels[target], False
