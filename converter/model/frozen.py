"""Frozen dataclasses that share the same methods, for all values that the parts of this program exchange.

``dataclass`` generates and compiles the methods of every class, 0.3 ms each: a seventh of the start-up time
(docs/decisions/0083). Everything that works with a dataclass works with these: ``field``, ``replace``, ``match``, mypy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields, make_dataclass
from inspect import Signature, signature
from operator import attrgetter
from typing import Any, NoReturn, dataclass_transform


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(cls: Any = None, /, *, kw_only: bool = True) -> Any:
    """Make a class what ``dataclass(frozen=True, kw_only=True)`` would.

    Neither ``init=False`` nor ``__post_init__`` is supported: derived values are properties. An instance takes a
    microsecond longer to make, so objects that exist once per file of an image are better named tuples.
    """
    if cls is None:
        return lambda cls: _made(cls, kw_only)
    return _made(cls, kw_only)


def _made(cls: Any, kw_only: bool) -> Any:
    for name, method in _METHODS.items():
        if name not in vars(cls):
            setattr(cls, name, method)
    made: Any = dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(cls)
    made.__shape__ = _Shape(fields(made))
    return made


class _Shape:
    """What the methods need to know of a class: its fields and their defaults."""

    def __init__(self, all_fields: Iterable[Field[Any]]) -> None:
        self.names = frozenset(one.name for one in all_fields)
        self.defaults = {one.name: one.default for one in all_fields if one.default is not MISSING}
        self.factories = {one.name: one.default_factory for one in all_fields if one.default_factory is not MISSING}
        self.shown = tuple(one.name for one in all_fields if one.repr)
        self.compared = _values_of(one.name for one in all_fields if one.compare)
        self.hashed = _values_of(one.name for one in all_fields if (one.compare if one.hash is None else one.hash))


def _values_of(names: Iterable[str]) -> Callable[[Any], Any]:
    chosen = tuple(names)
    return attrgetter(*chosen) if chosen else lambda _: ()


_put = object.__setattr__


def _init(self: Any, /, *placed: Any, **named: Any) -> None:
    shape: _Shape = self.__shape__
    values = dict(zip(self.__match_args__, placed), **named) if placed else named
    fits = len(values) == len(placed) + len(named)
    if len(values) < len(shape.names):
        values = {**shape.defaults, **values}
        for name in shape.factories.keys() - values.keys():
            values[name] = shape.factories[name]()
    if not fits or values.keys() != shape.names:
        cls = type(self)
        given = f"{len(placed)} values by position and {sorted(named)} by name"
        raise TypeError(f"{cls.__qualname__}{cls.__signature__} was given {given}")
    for name, value in values.items():
        _put(self, name, value)


def _equal(self: Any, other: Any) -> object:
    if type(other) is not type(self):
        return NotImplemented
    compared = self.__shape__.compared
    return compared(self) == compared(other)


def _hash(self: Any) -> int:
    return hash(self.__shape__.hashed(self))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__shape__.shown)
    return f"{type(self).__qualname__}({shown})"


def _refuse(self: Any, name: str, *_value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot change {name!r}: {type(self).__qualname__} is frozen")


class _Signature:
    """The signature of a class, for ``inspect`` and ``help``, computed on demand."""

    def __get__(self, instance: object, owner: Any) -> Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        like = make_dataclass(owner.__name__, [(one.name, one.type, one) for one in fields(owner)])
        return signature(like).replace(return_annotation=Signature.empty)


_METHODS: Mapping[str, object] = {
    "__init__": _init,
    "__eq__": _equal,
    "__hash__": _hash,
    "__repr__": _repr,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
    "__signature__": _Signature(),
}
