"""Kinds of values that several sections of the recipe have."""

from typing import Annotated

from pydantic import Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Sparsity = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(ge=1)]
Path = Annotated[str, Field(min_length=1, description="a path relative to the recipe")]
Text = Annotated[str, Field(min_length=1)]
Builder = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="package.module:function")]
