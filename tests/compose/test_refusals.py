"""What cannot be run is refused in one line, before anything is started."""

import re
import shlex

import pytest

from er import compose
from er.errors import ConfigError
from er.options import parse_arguments
from er.run import COMMAND

REFUSED = [
    ("deployment.tp=0", "deployment.tp is 0: "),
    ("deployment.tp=x", "deployment.tp=x: Value 'x'"),
    ("deployment.experts=0", "deployment.experts is 0: "),
    ("deployment.experts=100000000000", "deployment.a needs 400000000000 GPUs"),
    ("deployment={}", "deployment={}: give the name of one option"),
    ("deployment=[a,e]", "deployment=[a,e]: give the name of one option"),
    ("deployment=a,e", "deployment=a,e names several values: add -m"),
    ("deployment=glob(*)", "deployment=glob(*) names several values: add -m"),
    ("deployment.precision=fp4", "deployment.precision=fp4: Invalid value 'fp4'"),
    ("deployment.model=llama2_70b", "deployment.model=llama2_70b: Invalid type"),
    ("~deployment.tp", "~deployment.tp: "),
    ("~load", "load has no value: "),
    ("seed=-1", "seed is -1: "),
    ("seed=4294967296", "seed is 4294967296: give 0 to 4294967295"),
    ("seed=1.5", "seed=1.5: Value '1.5'"),
    ("-m seed=range(0,100000)", "these are 100,000 jobs, 1,000 at most: "),
    ("study=", "study is '': "),
    ("study=../x", "study is '../x': "),
    ("runs_dir=", "runs_dir is '': "),
    ("runs_dir=null", "runs_dir=null: "),
    ("tracking.uri=", "tracking.uri is empty: "),
    ("runs_dir=a%b", "tracking.uri is sqlite:///a%b/mlflow.db: ? and % mean something else"),
    ("tracking=none", "Could not find 'tracking/none'"),
    ("load=[1,2]", "load=[1,2]: give the name of one option"),
    ("load.concurrency=[]", "load.concurrency is empty: "),
    ("load.concurrency=5", 'load.concurrency=5: give a list such as [1,2,4], typed as "load.con'),
    ("load.concurrency=1,2", 'load.concurrency=1,2 is no list: type "load.concurrency=[1,2]", qu'),
    ("figures=fig4,fig5", 'figures=fig4,fig5 is no list: type "figures=[fig4,fig5]", quotes inc'),
    (
        "cluster=slurm cluster.sbatch=--constraint=nvlink,--x",
        "cannot read cluster.sbatch=--constraint=nvlink,--x: it takes a list, typed as "
        "\"cluster.sbatch=['--constraint=nvlink','--x']\"",
    ),
    (  # as bash leaves "['--mail-user=me@site']" without the outer quotes
        "cluster=slurm cluster.sbatch=[--mail-user=me@site]",
        "cannot read cluster.sbatch=[--mail-user=me@site] (expected key=value): quote the items: "
        "\"cluster.sbatch=['--mail-user=me@site']\"",
    ),
    (
        "cluster=slurm cluster.setup=[module load cuda]",
        "cannot read cluster.setup=[module (expected key=value): no viable alternative at input "
        "'[module': a list with spaces is typed in quotes, \"cluster.setup=[...]\"",
    ),
    ("cluster=slurm cluster.setup=x", 'cluster.setup=x: give a list, typed as "cluster.setup=[x]"'),
    ("load.concurrency=[0]", "load.concurrency has 0: "),
    ("load.concurrency=[1000000000]", "load.concurrency has 1000000000: "),
    ("load.concurrency=[2,1]", "load.concurrency is [2, 1]: give rising numbers"),
    ("load.concurrency=[1,1]", "load.concurrency is [1, 1]: give rising numbers"),
    ("load.requests_per_user=0", "load.requests_per_user is 0 and load.duration_s is 0: "),
    ("load.requests_per_user=-3", "load.requests_per_user and load.duration_s cannot be"),
    ("load.duration_s=nan", "load.duration_s is nan: give a number"),
    ("load.workers=0", "load.workers is 0: give auto"),
    ("load.workers=many", "load.workers is many: give auto"),
    ("load.client=curl", "load.client=curl: Invalid value 'curl'"),
    ("load.request_timeout_s=0", "load.request_timeout_s is 0.0: "),
    ("load.think_time_s=-1", "load.think_time_s and load.ramp_s cannot be negative"),
    ("load.user_rate_per_s=0", "load.user_rate_per_s is 0.0: "),
    ("load=trace", "load.arrivals is trace and load.trace is '': "),
    ("workload=jsonl", "workload.path is empty: "),
    ("workload=jsonl workload.path=/nope", "workload.path is /nope: "),
    ("workload=fixed workload.input_tokens=0", "workload.input_tokens is 0: "),
    ("workload=fixed workload.output_tokens=0", "workload.output_tokens is 0: "),
    ("workload.input.scale=-1", "workload lengths: scale is -1.0: "),
    ("hardware=nope", "Could not find 'hardware/nope'"),
    ("hardware.memory_gb=0", "hardware.memory_gb is not a known key: did you mean"),
    ("deployment.max_input=9", "deployment.max_input is not a known key: choose from deployment."),
    ("engine.max_batch_size=0", "engine.max_batch_size is 0: "),
    ("engine.kv_cache_free_gpu_mem_fraction=2", "engine.kv_cache_free_gpu_mem_fraction is 2.0"),
    ("gateway.port=70000", "gateway.port is 70000: give a TCP port"),
    ("gateway.port=80x", "gateway.port=80x: Value '80x'"),
    ("gateway.kind=nginx", "gateway.kind is nginx: choose from fast"),
    ("gateway.experts=[foo]", "gateway.experts has foo: give addresses such as"),
    ("server.http_port=99999999", "server.http_port is 99999999: give a TCP port"),
    ("routing.policy=best", "routing.policy=best: Invalid value 'best'"),
    ("routing.clusters=0", "routing.clusters is 0: "),
    ("corpus=nope", "Could not find 'corpus/nope'"),
    ("clock=sundial", "Could not find 'clock/sundial'"),
    ("clock.failures=3", "clock.failures=3: give a list such as"),
    ("figures=fig4", "figures=fig4: give a list such as [fig4]"),
    ("foo=1", "foo is not a known key: "),
    ("+foo=1", "foo is not a known key: "),
    ("=", "Could not override ''. To append"),
    ("a=b=c", "cannot read a=b=c (expected key=value): quote the value, such as \"a='b=c'\""),
    (
        "deployment=größe",
        "cannot read deployment=größe (expected key=value): quote the value, such as "
        "\"deployment='größe'\"",
    ),
    ("load.concurrency=[1,2", "cannot read load.concurrency=[1,2 (expected key=value): no viable"),
    ("+experiment=nope", "Could not find 'experiment/nope'"),
    ("+experiment=fig4 +experiment=fig5", "Multiple values for experiment"),
    ("capacity=1", "capacity=1: Invalid type"),
    ("+capacity={prompts:1}", "+capacity={prompts:1}: choose +experiment=capacity"),
    ("hydra.run.dir=/nope", "hydra.run.dir has no effect: "),
]


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=[words for words, _ in REFUSED])
def test_a_bad_request_is_refused_in_one_line(words: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compose.jobs_for(parse_arguments(COMMAND, words.split()))
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_a_list_that_is_typed_as_advised_is_taken() -> None:
    for words in (
        "load.concurrency=1,2",
        "cluster=slurm cluster.sbatch=--constraint=nvlink,--x",
        "cluster=slurm cluster.sbatch=[--mail-user=me@site]",
    ):
        with pytest.raises(ConfigError) as refused:
            compose.jobs_of(words.split())
        [advice] = re.findall(r'"[^"]+=\[[^"]+\]"', str(refused.value))

        assert compose.jobs_of([*words.split()[:-1], *shlex.split(advice)])
