"""Checks of the agents' files: their fields, their models, and the secrets that they name."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import get_args

from pydantic import ValidationError
from pydantic_ai.models import KnownModelName
from pydantic_ai.providers import infer_provider_class
from pydantic_ai.providers.bedrock import remove_bedrock_geo_prefix

from agent_catalog.agent_file import AgentFile
from agent_catalog.agent_yaml import YamlFile, YamlFileError
from agentrun_local.check.faults import MEND_MODULE, Fault, line_of, placed_in_python
from agentrun_local.check.project import Project

_PLACE = re.compile(
    r"(?:^|; )(?P<name>[^:;/]+\.ya?ml):(?:(?P<line>\d+):)? (?P<said>.*?)(?=; [^:;/]+\.ya?ml:|$)",
    re.DOTALL,
)
_VARIABLE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)\}")
_WITHOUT_PROVIDER = frozenset({"demo", "test"})
_REMEDIES = {
    "there is no such field": "Take the field out, or see its name in docs/agents.md.",
    "is missing": "Add the field.",
    "there is no module": "Name a module of the tools' folder, as 'tools.<module>:<function>'.",
    "defines no function": "Name a function that the module defines.",
    "has no docstring": "Write one; it tells the model what the tool is for.",
    "is not YAML": "Mend the line; often it is indentation, or a colon in unquoted text.",
}


def check_agents(
    project: Project, in_files: Sequence[str], *, default_model: str
) -> Iterator[Fault]:
    """
    Yield what is wrong with the files, and with the models that they name.

    Args:
        project: The project.
        in_files: The catalogue's messages on its files.
        default_model: The model of agents that name none.
    """
    for text in in_files:
        yield from _told(project, text)
    if not list(project.agents.glob("*.yaml")):
        yield Fault(project.agents, 0, "there is no agent", "Add a file <id>.yaml.")
    for path, source, file in readable(project.agents):
        yield from _models(path, source, file)
    if default_model not in _WITHOUT_PROVIDER:
        yield from _model(project.settings, line_of(project.settings, default_model), default_model)


def readable(agents: Path) -> Iterator[tuple[Path, YamlFile, AgentFile]]:
    """Yield the files whose fields are right, whatever their tools are."""
    for path in sorted(agents.glob("*.yaml")):
        try:
            source = YamlFile.parse(path.read_text(encoding="utf-8"))
            yield path, source, AgentFile.model_validate(source.content)
        except (OSError, UnicodeDecodeError, YamlFileError, ValidationError):
            # The catalogue says so.
            continue


def named_variables(project: Project) -> Iterator[tuple[Path, int, str]]:
    """Yield the variables that agents' files name, each with its file and line."""
    for path, source, file in readable(project.agents):
        if file.endpoint is not None and file.endpoint.secret is not None:
            yield path, source.find(("endpoint", "secret"))[1], file.endpoint.secret
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for name in _VARIABLE.findall(line.partition(" #")[0]):
                yield path, number, name


def _told(project: Project, text: str) -> Iterator[Fault]:
    for found in _PLACE.finditer(text):
        said = found["said"]
        if placed := placed_in_python(said):
            yield Fault(Path(placed[0]), placed[1], placed[2], MEND_MODULE)
            continue
        remedy = next((do for words, do in _REMEDIES.items() if words in said), "Mend the file.")
        close = re.search(r"did you mean (\S+)\?", said)
        if close:
            remedy = f"Rename it to {close[1]}."
        yield Fault(project.agents / found["name"], int(found["line"] or 0), said, remedy)


def _models(path: Path, source: YamlFile, file: AgentFile) -> Iterator[Fault]:
    named: list[tuple[tuple[str | int, ...], str | None]] = [
        (("model",), file.model),
        (("followup_model",), file.followup_model),
        *((("models", number), name) for number, name in enumerate(file.models)),
    ]
    for location, name in named:
        if name is not None and name not in _WITHOUT_PROVIDER:
            yield from _model(path, source.find(location)[1], name)


def _model(path: Path, line: int, model_id: str) -> Iterator[Fault]:
    provider, _, name = model_id.partition(":")
    try:
        infer_provider_class(provider)
    except ValueError:
        close = get_close_matches(provider, _providers(), n=1)
        remedy = f"Did you mean {close[0]}:{name}?" if close else "See docs/models.md."
        yield Fault(path, line, f"no provider is called '{provider}'", remedy)
        return
    known = _known_names(provider)
    plain = remove_bedrock_geo_prefix(name) if provider == "bedrock" else name
    if name.startswith("arn:") or plain in known or not known:
        return
    close = get_close_matches(plain, known, n=1)
    remedy = f"Did you mean {close[0]}? " if close else ""
    yield Fault(
        path,
        line,
        f"pydantic-ai knows no model '{name}' of {provider}",
        f"{remedy}If it is newer than the library, leave it; `make doctor` asks AWS.",
        is_warning=True,
    )


@cache
def _known_names(provider: str) -> frozenset[str]:
    all_names = get_args(getattr(KnownModelName, "__value__", KnownModelName))
    parted = (str(name).partition(":") for name in all_names)
    names = {name for kind, _, name in parted if kind == provider}
    return frozenset(
        {remove_bedrock_geo_prefix(name) if provider == "bedrock" else name for name in names}
    )


@cache
def _providers() -> tuple[str, ...]:
    names = get_args(getattr(KnownModelName, "__value__", KnownModelName))
    return tuple(sorted({str(name).partition(":")[0] for name in names}))
