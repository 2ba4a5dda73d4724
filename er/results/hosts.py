"""Replace the names of hosts in the files of runs by numbers, for a bundle that is given away.

Configurations, points and requests are not changed, so figures and digests stay valid.
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
    """`host-1`, `host-2`..., by the names of hosts in the provenance of these runs, in order."""
    found: dict[str, None] = {}
    for folder in folders:
        path = folder / names.PROVENANCE
        facts = json.loads(path.read_text()) if path.exists() else {}
        listed = [facts.get("host", ""), *facts.get("load_node", "").split(",")]
        found.update(dict.fromkeys(filter(None, [*listed, *facts.get("nodes", [])])))
    return {name: f"host-{number}" for number, name in enumerate(found, 1)}


def renamed(hosts: Mapping[str, str], name: str) -> str:
    """The name of a run's file; files of a further node are in a folder with its name."""
    return "/".join(hosts.get(part, part) for part in PurePosixPath(name).parts)


def without(hosts: Mapping[str, str], name: str, content: bytes) -> bytes:
    """The content of a run's file `name`, with numbers in place of the names of hosts."""
    path = PurePosixPath(name)
    if not hosts or name in UNCHANGED or path.suffix not in TEXTS:
        return content
    text = content.decode(errors="surrogateescape")
    if path.suffix != ".json":
        return _replace_in_text(hosts, text).encode(errors="surrogateescape")
    values = json.loads(text)
    changed = _replace_in_values(hosts, values)
    return content if changed == values else f"{json.dumps(changed, indent=2)}\n".encode()


def _replace_in_values(hosts: Mapping[str, str], value: Any) -> Any:
    """Replace names in all texts of a value, except in a session's configuration."""
    if isinstance(value, dict):
        return {
            key: v if key == "config" else _replace_in_values(hosts, v) for key, v in value.items()
        }
    if isinstance(value, list):
        return [_replace_in_values(hosts, item) for item in value]
    return _replace_in_text(hosts, value) if isinstance(value, str) else value


def _replace_in_text(hosts: Mapping[str, str], text: str) -> str:
    """Replace whole names: gpu1 also in gpu1.site.org, but not in gpu12."""
    either = "|".join(re.escape(name) for name in sorted(hosts, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])(?:{either})(?![\w-])", lambda found: hosts[found[0]], text)
