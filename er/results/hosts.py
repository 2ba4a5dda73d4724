"""Names of hosts in what runs say of themselves, replaced by numbers in a bundle to give away.

What was configured, measured and sent stays as it is, so figures and digests hold.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from er.results import names

UNCHANGED = (names.CONFIG, names.POINTS, names.PREDICTED, names.CAPACITY)
TEXTS = (".json", ".log", ".csv")


def numbered(folders: Iterable[Path]) -> dict[str, str]:
    """`host-1` and so on, by the names that the provenance of these runs has, in their order."""
    found: dict[str, None] = {}
    for folder in folders:
        path = folder / names.PROVENANCE
        facts = json.loads(path.read_text()) if path.exists() else {}
        listed = [facts.get("host", ""), *facts.get("load_node", "").split(",")]
        found.update(dict.fromkeys(filter(None, [*listed, *facts.get("nodes", [])])))
    return {name: f"host-{number}" for number, name in enumerate(found, 1)}


def renamed(hosts: Mapping[str, str], name: str) -> str:
    """The name of a run's file; those of a further node lie in a folder of its name."""
    return "/".join(hosts.get(part, part) for part in PurePosixPath(name).parts)


def without(hosts: Mapping[str, str], name: str, content: bytes) -> bytes:
    """The content of a run's file, with numbers in place of the names of hosts."""
    path = PurePosixPath(name)
    if not hosts or name in UNCHANGED or path.suffix not in TEXTS:
        return content
    text = content.decode(errors="surrogateescape")
    if path.suffix != ".json":
        return _of_text(hosts, text).encode(errors="surrogateescape")
    values = json.loads(text)
    changed = _of_values(hosts, values)
    return content if changed == values else f"{json.dumps(changed, indent=2)}\n".encode()


def _of_values(hosts: Mapping[str, str], value: Any) -> Any:
    """The texts in a value; a session's settings stay as they are."""
    if isinstance(value, dict):
        return {key: v if key == "config" else _of_values(hosts, v) for key, v in value.items()}
    if isinstance(value, list):
        return [_of_values(hosts, item) for item in value]
    return _of_text(hosts, value) if isinstance(value, str) else value


def _of_text(hosts: Mapping[str, str], text: str) -> str:
    """Whole names alone: gpu1 is no part of gpu12, and the beginning of gpu1.site.org."""
    either = "|".join(re.escape(name) for name in sorted(hosts, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])(?:{either})(?![\w-])", lambda found: hosts[found[0]], text)
