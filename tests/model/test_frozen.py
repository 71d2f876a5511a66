from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, asdict, field, fields, is_dataclass, replace
from pathlib import Path

import pytest

import converter
from converter.model.frozen import frozen


@frozen
class Bottle:
    """With every kind of field there is."""

    volume: int
    label: str = "water"
    tags: Mapping[str, str] = field(default_factory=dict)
    secret: str = field(default="", repr=False)
    seen: int = field(default=0, compare=False)
    marks: list[str] = field(default_factory=list, hash=False)

    @property
    def empty(self) -> bool:
        """What follows from the fields."""
        return self.volume == 0


@frozen(kw_only=False)
class Point:
    """Two values in order, and one that need not be said."""

    x: int
    y: int
    name: str = "?"


@frozen
class Nothing:
    """Without a field."""


@frozen(kw_only=False)
class Loud:
    """With methods of its own."""

    text: str

    def __repr__(self) -> str:
        return self.text.upper()


def test_it_is_a_dataclass_to_whoever_asks() -> None:
    assert is_dataclass(Bottle)
    assert [one.name for one in fields(Point)] == ["x", "y", "name"]
    assert asdict(Point(1, 2)) == {"x": 1, "y": 2, "name": "?"}
    assert replace(Point(1, 2), y=3) == Point(1, 3)


def test_values_are_given_in_order_or_by_name() -> None:
    assert Point(1, 2) == Point(1, y=2) == Point(x=1, y=2, name="?")
    assert Bottle(volume=1).label == "water"
    assert Bottle(volume=0).empty


def test_each_instance_has_its_own_of_what_is_made() -> None:
    assert Bottle(volume=1).marks is not Bottle(volume=1).marks


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda make: make(), id="nothing"),
        pytest.param(lambda make: make(1), id="too few"),
        pytest.param(lambda make: make(1, 2, "a", 4), id="too many"),
        pytest.param(lambda make: make(1, 2, x=1), id="one twice"),
        pytest.param(lambda make: make(1, 2, z=3), id="one that there is not"),
        pytest.param(lambda make: make(1, z=3), id="one that there is not, in place of one that there is"),
        pytest.param(lambda make: make(1, 2, "a", z=3), id="one that there is not, besides all"),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[Callable[..., Point]], Point]) -> None:
    with pytest.raises(TypeError, match=r"^Point"):
        make(Point)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"label": "oil"}, id="one is missing"),
        pytest.param({"volume": 1, "empty": True}, id="a property is no field"),
        pytest.param({"volume": 1, "label": "", "tags": {}, "secret": "", "seen": 0, "empty": True}, id="all but one"),
    ],
)
def test_what_is_not_there_by_that_name_is_refused(given: Mapping[str, object]) -> None:
    make: Callable[..., Bottle] = Bottle
    with pytest.raises(TypeError, match=r"^Bottle"):
        make(**given)


def test_by_name_alone_means_by_name_alone() -> None:
    make: Callable[..., Bottle] = Bottle
    with pytest.raises(TypeError, match="given 1 values by position"):
        make(1)


def test_nothing_can_be_changed() -> None:
    point: object = Point(1, 2)
    with pytest.raises(FrozenInstanceError, match=r"'x'.*Point is frozen"):
        setattr(point, "x", 2)  # noqa: B010 - as it stands, mypy refuses it
    with pytest.raises(FrozenInstanceError, match="'x'"):
        delattr(point, "x")
    with pytest.raises(FrozenInstanceError, match="'new'"):
        setattr(point, "new", 2)  # noqa: B010 - likewise


def test_equal_are_those_of_one_class_with_equal_values() -> None:
    @frozen(kw_only=False)
    class Other:
        """The same fields."""

        x: int
        y: int
        name: str = "?"

    assert Point(1, 2) != Point(1, 3)
    others: tuple[object, ...] = (Other(1, 2), (1, 2, "?"))
    assert Point(1, 2) not in others
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())
    assert len({Point(1, 2), Point(1, 2), Point(2, 1)}) == 2
    assert Bottle(volume=1, seen=1) == Bottle(volume=1, seen=2)
    assert Bottle(volume=1, secret="a") != Bottle(volume=1, secret="b")
    assert Bottle(volume=1, marks=["a"]) != Bottle(volume=1, marks=["b"])


def test_only_what_counts_is_hashed() -> None:
    @frozen
    class Key:
        """Of which a part cannot be hashed."""

        name: str
        rest: dict[str, str] = field(default_factory=dict, hash=False)
        more: dict[str, str] = field(default_factory=dict, compare=False)

    assert hash(Key(name="a", rest={"b": "c"})) == hash(Key(name="a", more={"d": "e"}))


def test_it_shows_what_may_be_shown() -> None:
    assert repr(Point(1, 2)) == "Point(x=1, y=2, name='?')"
    assert "secret" not in repr(Bottle(volume=1, secret="password"))
    assert repr(Loud("hush")) == "HUSH"
    assert Loud("a") == Loud("a")


def test_it_can_be_matched() -> None:
    match Point(1, 2):
        case Point(1, y):
            assert y == 2
        case _:
            pytest.fail("it was not matched")


def test_it_travels_and_can_be_copied() -> None:
    bottle = Bottle(volume=1, tags={"a": "b"}, marks=["c"])
    assert pickle.loads(pickle.dumps(bottle)) == bottle
    deep = copy.deepcopy(bottle)
    assert deep == bottle
    assert deep.marks is not bottle.marks
    assert copy.copy(bottle) == bottle


def test_help_says_what_it_takes() -> None:
    assert str(inspect.signature(Point)) == "(x: 'int', y: 'int', name: 'str' = '?')"
    assert str(inspect.signature(Bottle)).startswith("(*, volume: 'int', label: 'str' = 'water', tags: ")


def test_nothing_is_frozen_in_another_way() -> None:
    root = Path(converter.__file__).parent
    others = [str(path) for path in root.rglob("*.py") if "@dataclass(frozen" in path.read_text()]
    assert others == []
