"""Pydantic's findings as one clear line, with the key and where its value came from."""

import difflib
import re
import sys
from collections.abc import Collection, Iterator
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bridged.config.reading import ConfigError, Loc, Tree

Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], tree: Tree, loc: Loc, values: object) -> Model:
    """`values`, found at `loc` of `tree`, as `model`. Raises `ConfigError` for the first thing wrong."""
    details: list[ErrorDetails] = []
    for last in (False, True):
        try:
            return model.model_validate(values, context=tree)
        except ValidationError as error:
            details = error.errors(include_url=False)
        split = {} if last else dict(_comma_lists(tree, loc, details))
        if not split:
            break
        for inner, items in split.items():
            values = _replaced(values, inner, items)
    errors = [(detail["type"], _explain(tree, loc, detail, model)) for detail in details]
    # A misspelt key comes before what is missing because of it; else the first in the file.
    raise min(errors, key=lambda each: (each[0] != "extra_forbidden", each[1].line or sys.maxsize))[1]


def _comma_lists(tree: Tree, loc: Loc, details: list[ErrorDetails]) -> Iterator[tuple[Loc, list[str]]]:
    """Variables can give a list as `a,b`; only the type tells that a list is meant."""
    for detail in details:
        inner, value = detail["loc"], detail["input"]
        is_list = detail["type"] in ("list_type", "tuple_type", "set_type")
        if is_list and isinstance(value, str) and (*loc, *inner) in tree.variables:
            yield inner, [item.strip() for item in value.split(",") if item.strip()]


def _replaced(values: Any, loc: Loc, item: object) -> Any:
    if not loc:
        return item
    copy = values.copy()
    copy[loc[0]] = _replaced(values[loc[0]], loc[1:], item)
    return copy


_TYPES = {
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "path_type": "must be a path",
    "missing": "is missing",
}


def _explain(tree: Tree, prefix: Loc, detail: ErrorDetails, model: type[BaseModel]) -> ConfigError:
    """One error in our words. A value is repeated only where the choices are closed: others may be secret."""
    kind, context = detail["type"], detail.get("ctx", {})
    loc = prefix + detail["loc"]
    if kind == "extra_forbidden":
        message = f"unknown key{nearest(str(loc[-1]), _keys(model, detail['loc'][:-1]))}"
    elif kind in ("literal_error", "enum"):
        choices = re.sub(r"'([^']*)'", r"\1", str(context["expected"])).replace(" or ", ", ")
        message = f"must be one of {choices} (got {_short(detail['input'])})"
    elif kind == "value_error":
        message = str(context["error"])
    elif kind == "string_pattern_mismatch":
        message = f"must match {context['pattern']}"
    else:
        message = _TYPES.get(kind) or detail["msg"][:1].lower() + detail["msg"][1:]
    return tree.error(loc, message)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def nearest(word: str, known: Collection[str]) -> str:
    """The end of a message about an unknown word."""
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else f" (known: {', '.join(sorted(known))})"


def _keys(model: type[BaseModel], loc: Loc) -> set[str]:
    """The keys that the model allows at `loc`."""
    models = [model]
    for part in loc:
        inner = [each.model_fields[str(part)].annotation for each in models if str(part) in each.model_fields]
        models = [found for annotation in inner for found in _models_in(annotation)] or models
    return {name for each in models for name in each.model_fields}


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
