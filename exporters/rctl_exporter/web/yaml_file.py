"""A YAML file; every error about it names the line."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from rctl import input_files
from rctl.errors import UsageError

from ..optional_libraries import needed

Kind = TypeVar("Kind")
_LARGEST = 1 << 20
_PLACE = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_NO_WORD = re.compile(r"Invalid enum value ('[^']*')")


class Document:
    """A YAML file as plain data, with the line of each key."""

    def __init__(self, path: str) -> None:
        """Read a file. Raises UsageError if it cannot be read, is no YAML, or has a key twice."""
        with needed():
            import yaml
        self.path = path
        self._lines: dict[tuple[str, ...], int] = {}
        loader = None
        try:
            loader = yaml.SafeLoader(_read(path))
            node = loader.get_single_node()
            self._walk(node, (), set())
            self.data: Any = loader.construct_document(node) if node else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f"{path}:{mark.line + 1}" if mark else path
            raise UsageError(f"{place}: not YAML: {error.problem or error.context}. Correct that line") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}. Correct the file") from None
        finally:
            if loader:
                loader.dispose()

    def _walk(self, node: Any, keys: tuple[str, ...], above: set[int]) -> None:
        """Note the line of each key of nested mappings; a deeper value has the line of its parent."""
        pairs = node.value if getattr(node, "id", "") == "mapping" else ()
        if id(node) in above:
            raise UsageError(f"{self.path}:{node.start_mark.line + 1}: a value contains itself. Remove the alias")
        for key, value in pairs:
            here = (*keys, str(key.value))
            line = key.start_mark.line + 1
            if here in self._lines:
                raise UsageError(f"{self.path}:{line}: {key.value} given twice. Give it once")
            self._lines[here] = line
            self._walk(value, here, above | {id(node)})

    def error(self, text: str, *keys: str) -> UsageError:
        """An error that names the line of the last of ``keys`` that the file has."""
        while keys and keys not in self._lines:
            keys = keys[:-1]
        place = f"{self.path}:{self._lines[keys]}" if keys else self.path
        return UsageError(f"{place}: {text}")

    def convert(self, kind: type[Kind]) -> Kind:
        """The data as ``kind``. Raises UsageError with the line of the first wrong value."""
        try:
            return msgspec.convert(self.data, kind)
        except msgspec.ValidationError as error:
            text = str(error)
            place = _PLACE.search(text)
            keys = tuple(re.split(r"[.\[]", place[1])) if place and place[1] else ()
            unknown = _UNKNOWN.search(text)
            inner = (*keys, unknown[1]) if unknown else keys
            told = f"{'.'.join(keys)}: " if keys else ""
            raise self.error(f"{told}{_plainly(text, kind, keys)}", *inner) from None


def _plainly(text: str, kind: Any, keys: tuple[str, ...]) -> str:
    """msgspec's error about the value at ``keys`` of a ``kind``, with the allowed words."""
    words = ", ".join(_words(kind, keys))
    if unknown := _UNKNOWN.search(text):
        return f"unknown field {unknown[1][:60]}. Use {words}"
    if value := _NO_WORD.search(text):
        return f"{value[1][:60]} is not known. Use {words}"
    return _PLACE.sub("", text).replace("`", "")


def _words(kind: Any, keys: tuple[str, ...]) -> list[str]:
    """The fields of a struct, or the words of a Literal, at ``keys`` of ``kind``."""
    for part in (kind, *get_args(kind)):
        if get_origin(part) is Literal:
            return [word for word in get_args(part) if word]
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            fields = {field.encode_name: field.type for field in msgspec.structs.fields(part)}
            return _words(fields.get(keys[0], Any), keys[1:]) if keys else list(fields)
    return []


def _read(path: str) -> str:
    content = input_files.read(path, _LARGEST)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: not UTF-8. Save the file as UTF-8") from None
