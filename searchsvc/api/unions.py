"""Parts of a request that may be written in several ways: filters, facets, the order.

Every union is told apart by the JSON type of the value, so that errors speak of the branch that was meant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

FilterWord = Annotated[str, StringConstraints(min_length=1, max_length=8191)]
"""At most 32,764 bytes, what Elasticsearch takes as one keyword."""
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=255)]
_Number = Annotated[int | float, Field(ge=-(2**63), lt=2**64)]
"""What Elasticsearch's long and unsigned_long hold."""

WORD, FLAG, NUMBER, SCALAR, LIST, OBJECT = (
    f"<{name}>" for name in ("word", "flag", "number", "scalar", "list", "object")
)
BRANCHES = frozenset({WORD, FLAG, NUMBER, SCALAR, LIST, OBJECT})
"""Branches of unions: parts of the places that pydantic names which no client sent."""
_SHAPES: tuple[tuple[type, str], ...] = (
    *((bool, FLAG), (str, WORD), (int, NUMBER), (float, NUMBER)),
    *((list, LIST), (dict, OBJECT), (BaseModel, OBJECT)),
)
_MAX_FILTERS = 32
_MAX_RAW_DEPTH = 64
"""Levels of braces and brackets: some 20 clauses inside clauses."""


class Strict(BaseModel):
    """What all bodies share: values of the declared types, and no other fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def shape(value: Any) -> str | None:
    """The branch for a value of this JSON type; None for null."""
    return next((tag for kind, tag in _SHAPES if isinstance(value, kind)), None)


def one_of(branches: Mapping[str, str], said: str) -> Discriminator:
    """Tells a union's branches apart by the value's shape; `said` is what may be given."""
    return Discriminator(
        lambda value: branches.get(shape(value) or ""), custom_error_type="shape", custom_error_message=f"Give {said}"
    )


_Bound = Annotated[
    Annotated[FilterWord, Tag(WORD)] | Annotated[_Number, Tag(NUMBER)],
    one_of({WORD: WORD, NUMBER: NUMBER}, "a time (ISO 8601) or a number"),
]
_Scalar = Annotated[
    Annotated[FilterWord, Tag(WORD)] | Annotated[_Number, Tag(NUMBER)] | Annotated[bool, Tag(FLAG)],
    one_of({WORD: WORD, NUMBER: NUMBER, FLAG: FLAG}, "a string, a number, or true or false"),
]
_Scalars = Annotated[list[_Scalar], Field(min_length=1, max_length=1024)]
_by_shape = one_of(
    {WORD: SCALAR, NUMBER: SCALAR, FLAG: SCALAR, LIST: LIST, OBJECT: OBJECT},
    "a string, a number, true or false, a list of them, or an object",
)


class RangeBody(Strict):
    """Bounds of a date (ISO 8601) or of a number."""

    gte: _Bound | None = None
    gt: _Bound | None = None
    lte: _Bound | None = None
    lt: _Bound | None = None

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        given = [name for name, value in self if value is not None]
        if not given:
            names = ", ".join(field.alias or name for name, field in type(self).model_fields.items())
            raise PydanticCustomError("empty", "Nothing is asked for; give one of {names}", {"names": names})
        for one, other in (("gte", "gt"), ("lte", "lt")):
            if one in given and other in given:
                raise PydanticCustomError("two_bounds", "Give {one} or {other}", {"one": one, "other": other})
        if len(given) > 1 and not {"exists", "not_"}.isdisjoint(given):
            raise PydanticCustomError("two_conditions", "Give bounds, exists, or not")
        return self

    def bounds(self) -> dict[str, Any]:
        """Those that are given."""
        named = {"gte": self.gte, "gt": self.gt, "lte": self.lte, "lt": self.lt}
        return {name: value for name, value in named.items() if value is not None}


class ConditionBody(RangeBody):
    """Bounds, or whether the field has a value at all."""

    exists: bool | None = None


_Condition = Annotated[
    Annotated[_Scalar, Tag(SCALAR)] | Annotated[_Scalars, Tag(LIST)] | Annotated[ConditionBody, Tag(OBJECT)], _by_shape
]


class FilterBody(ConditionBody):
    """The same, or what must not hold."""

    not_: _Condition | None = Field(None, alias="not")


_Filter = Annotated[
    Annotated[_Scalar, Tag(SCALAR)] | Annotated[_Scalars, Tag(LIST)] | Annotated[FilterBody, Tag(OBJECT)], _by_shape
]


def _raw_query(query: dict[str, Any]) -> dict[str, Any]:
    """A query that can be sent: one clause, of values that Elasticsearch's JSON has, not too deep."""
    if len(query) != 1:
        raise PydanticCustomError("raw_query", 'Give one query, such as {"term": …}')
    level: list[Any] = [query]
    for _ in range(_MAX_RAW_DEPTH):
        if not all(map(_sendable, level)):
            raise PydanticCustomError("raw_query", "It holds a number or a string that cannot be sent")
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return query
    raise PydanticCustomError("raw_query", "It is nested deeper than {depth} levels", {"depth": _MAX_RAW_DEPTH})


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def _sendable(value: Any) -> bool:
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    return not isinstance(value, float) or math.isfinite(value)


class FiltersBody(BaseModel):
    """Conditions by field, all of which must hold, and under `es` a query of Elasticsearch's own."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[FieldName, _Filter] = Field(init=False)

    es: Annotated[dict[str, Any], AfterValidator(_raw_query)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _not_too_many(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) > _MAX_FILTERS:
            raise PydanticCustomError("too_many", "At most {most} fields can be named", {"most": _MAX_FILTERS})
        return value

    def by_field(self) -> Mapping[str, Any]:
        """All but `es`."""
        return self.model_extra or {}


class FacetBody(Strict):
    """How the values of a field are counted: the most frequent ones, or in ranges."""

    size: int = Field(10, ge=1, le=1000)
    ranges: list[RangeBody] | None = Field(None, min_length=1, max_length=64)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.ranges is not None and "size" in self.model_fields_set:
            raise PydanticCustomError("two_kinds", "Give size or ranges")
        return self


_Names = Annotated[list[FieldName], Field(max_length=32)]
_Order = Annotated[dict[FieldName, Literal["asc", "desc"]], Field(min_length=1, max_length=1)]

FacetsBody = Annotated[
    Annotated[_Names, Tag(LIST)] | Annotated[Annotated[dict[FieldName, FacetBody], Field(max_length=32)], Tag(OBJECT)],
    one_of({LIST: LIST, OBJECT: OBJECT}, 'a list of fields, or an object such as {"tags": {"size": 5}}'),
]
_SortKey = Annotated[
    Annotated[FieldName, Tag(WORD)] | Annotated[_Order, Tag(OBJECT)],
    one_of({WORD: WORD, OBJECT: OBJECT}, 'a field, or an object such as {"updated_at": "desc"}'),
]
SortBody = Annotated[
    Annotated[Literal["relevance"], Tag(WORD)] | Annotated[Annotated[list[_SortKey], Field(max_length=8)], Tag(LIST)],
    Discriminator(
        lambda value: WORD if value == "relevance" else {LIST: LIST}.get(shape(value) or ""),
        custom_error_type="shape",
        custom_error_message='Give "relevance", or a list of fields such as ["updated_at"]',
    ),
]
