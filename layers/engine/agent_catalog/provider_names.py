"""Names that every model provider takes, for tools and for their parameters."""

import hashlib
import re
import unicodedata
from collections.abc import Collection
from itertools import count

# Bedrock's `toolSpec.name` in botocore's service model: the strictest of the providers.
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Anthropic's rule for property names, which Bedrock applies to its models: "Property keys should
# match pattern '^[a-zA-Z0-9_.-]{1,64}$'".
_PROPERTY_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MAX_CHARACTERS = 64
_HASH_CHARACTERS = 8


def is_tool_name(name: str) -> bool:
    """Return whether every provider takes this as a tool's name."""
    return _TOOL_NAME.fullmatch(name) is not None


def is_property_name(name: str) -> bool:
    """Return whether every provider takes this as the name of a tool's parameter."""
    return _PROPERTY_NAME.fullmatch(name) is not None


def plain_tool_name(name: str) -> str:
    """Return the name with `_` for each character that is not allowed; it may be too long."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", _without_accents(name))
    return plain if re.search(r"[A-Za-z0-9]", plain) else "tool"


def plain_property_name(name: str, taken: Collection[str]) -> str:
    """Return a name like this one that is allowed, and none of those taken."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", _without_accents(name)).strip("_.-") or "property"
    if plain != "property" and is_property_name(plain) and plain not in taken:
        return plain
    hashed = (with_hash(plain, name * times) for times in count(1))
    return next(candidate for candidate in hashed if candidate not in taken)


def with_hash(plain: str, name: str) -> str:
    """Return a plain name, shortened, that no other `name` has: it ends with the name's hash."""
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_HASH_CHARACTERS]
    return f"{plain[: _MAX_CHARACTERS - _HASH_CHARACTERS - 1]}_{digest}"


def _without_accents(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(character for character in decomposed if not unicodedata.combining(character))
