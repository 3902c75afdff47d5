"""Named parts (criteria, losses, datasets, …), found by looking into their folders.

A part is a function or class under a decorator::

    from spiral_cli.registry import criteria

    @criteria.register("magnitude")
    def magnitude(weights, evidence):
        \"\"\"Keep the largest |w| (Han et al. 2015).\"\"\"

Adding one is adding a file: no list is edited. Names and one-line docstrings are read from the
source without importing it, so that listing and validating never import NumPy or TensorFlow;
only `Registry.get` imports the one module it needs.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from spiral_cli.chatter import held_back_stderr
from spiral_cli.errors import UsageError, did_you_mean

PACKAGE = Path(__file__).parent
T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """A registered name: its one-line docstring, its module and the facts it declared."""

    name: str
    summary: str
    module: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Registry:
    """All parts of one kind.

    Args:
        variable: the name files import from this module, as written before ``.register``.
        kind: what a part is called in messages, for example ``criterion``.
        place: dotted folder or module below `spiral_cli` that holds the parts.
    """

    def __init__(self, variable: str, kind: str, place: str) -> None:
        self.variable, self.kind, self.place = variable, kind, place
        self._objects: dict[str, Any] = {}
        self._plugins: dict[str, Part] = {}

    def register(self, *names: str, **facts: Any) -> Callable[[T], T]:
        """Return a decorator that files its object under ``names``.

        ``facts`` are literals other floors may ask for without importing the part (for example
        the recipe keys a dataset format needs).
        """

        def keep(part: T) -> T:
            module = part.__module__
            own = module.startswith("spiral_cli.")
            for name in names:
                taken = self._objects.get(name)
                foreign = not own and name in scan(self.place, self.variable)
                if foreign or (taken is not None and taken.__module__ != module):
                    raise UsageError(
                        f"{module} registers the {self.kind} '{name}', which is taken; choose another name"
                    )
                self._objects[name] = part
                if not own:
                    summary = (part.__doc__ or "").strip().partition("\n")[0]
                    self._plugins[name] = Part(name, summary, module, facts)
            return part

        return keep

    def parts(self) -> dict[str, Part]:
        """Return every part by name, built-in ones first, without importing them."""
        return {**self.built_in(), **self._plugins}

    def built_in(self) -> dict[str, Part]:
        """Return spiral's own parts by name, without importing them."""
        return scan(self.place, self.variable)

    def names(self) -> list[str]:
        """Return the registered names in order."""
        return list(self.parts())

    def part(self, name: str) -> Part:
        """Return what is known of ``name``.

        Raises:
            UsageError: the name is not registered.
        """
        parts = self.parts()
        if name not in parts:
            near = did_you_mean(name, list(parts))
            raise UsageError(f"no {self.kind} is named '{name}'; there are {', '.join(parts)}{near}")
        return parts[name]

    def get(self, name: str) -> Any:
        """Import and return the object registered as ``name``.

        Raises:
            UsageError: the name is not registered.
        """
        part = self.part(name)
        if name not in self._objects:
            importlib.import_module(part.module)
        return self._objects[name]


@cache
def scan(place: str, variable: str) -> dict[str, Part]:
    """Read the parts registered below ``spiral_cli.<place>`` from source, importing nothing."""
    folder = PACKAGE.joinpath(*place.split("."))
    base = f"spiral_cli.{place}"
    if folder.is_dir():
        files = {f"{base}.{file.stem}": file for file in sorted(folder.glob("*.py"))}
    else:
        files = {base: folder.with_suffix(".py")}
    found: dict[str, Part] = {}
    for module, file in files.items():
        for node in heads(file.read_text("utf-8"), variable):
            for names, facts in registrations(node, variable):
                summary = (ast.get_docstring(node) or "").partition("\n")[0]
                found.update({name: Part(name, summary, module, facts) for name in names})
    return found


def heads(text: str, variable: str) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Yield each registered definition of a source file, cut off after its docstring's first line.

    Parsing only these heads keeps `spiral validate` fast: whole files take ten times as long.
    """
    for match in re.finditer(rf'^@(?:registry\.)?{variable}\.register\(.*?"""[^\n]*', text, re.MULTILINE | re.DOTALL):
        head = match.group()
        closed = head if head.count('"""') % 2 == 0 else f'{head}"""'
        yield from (node for node in ast.parse(closed).body if isinstance(node, ast.FunctionDef | ast.ClassDef))


def registrations(node: ast.FunctionDef | ast.ClassDef, variable: str) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Yield the names and literal facts of each ``@<variable>.register(...)`` above ``node``."""
    owners = (variable, f"registry.{variable}")
    for call in node.decorator_list:
        match call:
            case ast.Call(func=ast.Attribute(value=owner, attr="register")) if ast.unparse(owner) in owners:
                names = [ast.literal_eval(argument) for argument in call.args]
                facts = {key.arg: ast.literal_eval(key.value) for key in call.keywords if key.arg}
                yield names, facts


def search(folder: Path) -> None:
    """Let modules in ``folder`` be imported, after those of the usual path: plugins and builders."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def load_plugins(modules: Sequence[str], folder: Path) -> None:
    """Import a recipe's ``plugins`` so that what they register can be named.

    Args:
        modules: dotted module names.
        folder: searched after the usual path, as by `search`.

    Raises:
        UsageError: a module cannot be imported.
    """
    search(folder)
    for module in modules:
        try:
            # A plugin may import TensorFlow; and stdout is spiral's own, with --json a machine's.
            with held_back_stderr(python=False), redirect_stdout(sys.stderr):
                importlib.import_module(module)
        except UsageError:
            raise
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"plugin '{module}' cannot be imported ({type(error).__name__}: {error}); "
                f"it must be a module on the Python path or beside the recipe in {folder}"
            ) from error


criteria = Registry("criteria", "criterion", "pruning.criteria")
group_criteria = Registry("group_criteria", "group criterion", "channels.criteria")
allocations = Registry("allocations", "allocation", "pruning.allocation")
schedules = Registry("schedules", "schedule", "pruning.schedules")
pressures = Registry("pressures", "pressure", "pruning.pressure")
losses = Registry("losses", "loss", "distillation.losses")
datasets = Registry("datasets", "dataset", "data.formats")
augmentations = Registry("augmentations", "augmentation", "data.augmentation")
models = Registry("models", "model", "models")
tasks = Registry("tasks", "task", "tasks")
exporters = Registry("exporters", "exporter", "export")
runtimes = Registry("runtimes", "runtime", "runtimes")

REGISTRIES = (
    *(tasks, datasets, augmentations, models),
    *(criteria, group_criteria, allocations, schedules, pressures, losses),
    *(exporters, runtimes),
)
