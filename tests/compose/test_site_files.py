"""Mistakes in a user's file of options: the file, the key and what to do are named in one line."""

from pathlib import Path

import pytest

from er.compose import jobs_of
from er.errors import ConfigError

HEAD = "# @package _global_\ndefaults:\n  - override /cluster: slurm\n"
BODY = "cluster:\n  partition: gpu\n"
MISTAKES = {
    "an unknown key": (
        HEAD + "cluster:\n  partitoin: gpu\n",
        "{file}: cluster.partitoin is not a known key: did you mean cluster.partition?",
    ),
    "an unknown key of all": (
        HEAD + "clusters:\n  partition: gpu\n",
        "{file}: clusters is not a known key: did you mean cluster?",
    ),
    "a key of another engine": (
        HEAD + "engine:\n  container:\n    image: x.sif\n",
        "{file}: engine.container is a key of engine=trtllm and engine=llmapi, which is not chosen",
    ),
    "no cluster=slurm": (
        "# @package _global_\n" + BODY,
        "{file}: cluster.partition is a key of cluster=slurm, which is not chosen",
    ),
    "no first line": (
        HEAD.partition("\n")[2] + BODY,
        "{file}: its first line must be # @package _global_",
    ),
    "an override without a slash": (
        HEAD.replace("/cluster", "cluster") + BODY,
        "{file}: write its default as - override /cluster: NAME, if there is such a group",
    ),
    "an unknown option": (
        HEAD.replace("slurm", "slrum") + BODY,
        "Could not find 'cluster/slrum' (in {file}): did you mean slurm? "
        "Available options in 'cluster': laptop slurm",
    ),
    "a word for a number": (
        HEAD + "cluster:\n  time_limit_min: eight\n",
        "{file}: cluster.time_limit_min: Value 'eight' of type 'str'",
    ),
    "none of the values": (
        HEAD + "cluster:\n  gpus_by: gress\n",
        "{file}: cluster.gpus_by: Invalid value 'gress'",
    ),
    "a text for a list": (
        HEAD + "cluster:\n  setup: module load cuda\n",
        "{file}: cluster.setup: give a list, each item on a line of its own that begins with -",
    ),
    "names for a list": (
        HEAD + "cluster:\n  setup:\n    module: cuda\n",
        "{file}: cluster.setup: give a list, each item on a line of its own that begins with -",
    ),
    "a list in a list": (
        HEAD + "cluster:\n  setup: [[module, cuda]]\n",
        "cluster.setup has ['module', 'cuda']: give one plain value for each item",
    ),
    "names in a list": (
        HEAD + "cluster:\n  sbatch: [constraint: nvlink]\n",
        "cluster.sbatch has {{'constraint': 'nvlink'}}: give one plain value for each item",
    ),
    "a list for a text": (
        HEAD + "cluster:\n  partition: [a, b]\n",
        "{file}: cluster.partition: Cannot convert",
    ),
    "no YAML": (
        HEAD + BODY + "  - x\n",
        "{file}, line 6: this is not YAML: expected <block end>",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_site_file_is_named(mistake: str, tmp_path: Path) -> None:
    text, message = MISTAKES[mistake]
    file = tmp_path / "site" / "mine.yaml"
    file.parent.mkdir()
    file.write_text(text)

    with pytest.raises(ConfigError) as refused:
        jobs_of(["+site=mine"], config_dir=tmp_path)

    assert str(refused.value).startswith(message.format(file=file))
    assert "\n" not in str(refused.value)


def test_a_site_without_a_folder_is_refused_with_advice() -> None:
    with pytest.raises(ConfigError, match=r"--config-dir DIR .* DIR/site/mine\.yaml"):
        jobs_of(["+site=mine"])


def test_an_unknown_site_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "mycluster.yaml").write_text(HEAD + BODY)

    with pytest.raises(
        ConfigError, match=r"Could not find 'site/mycluter': did you mean mycluster"
    ):
        jobs_of(["+site=mycluter"], config_dir=tmp_path)
