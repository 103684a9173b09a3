"""YAML in which a key that is given twice is an error: YAML's own reader silently takes the second."""

from __future__ import annotations

from typing import Any

import yaml

__all__ = ["load_yaml"]


def load_yaml(text: str) -> Any:
    """Read one YAML document of plain values.

    Raises
    ------
    yaml.YAMLError
        For what is not YAML, and for a key that is given twice.
    """
    return yaml.load(text, Loader=_OnceLoader)


class _OnceLoader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: list[Any] = []
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"{name} is given twice", key.start_mark)
            seen.append(name)
        return super().construct_mapping(node, deep)
