"""Every configuration composes; every bad one is refused by name, before anything starts."""

import pytest

from er import compose, options
from er.errors import ConfigError
from er.results.keys import study_key
from er.run import COMMAND

DEPLOYMENTS = sorted(path.stem for path in (options.CONF / "deployment").glob("*.yaml"))
EXPERIMENTS = sorted(path.stem for path in (options.CONF / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes(experiment: str) -> None:
    jobs = compose.plan([f"+experiment={experiment}"])
    assert jobs
    assert (len({job.study for job in jobs}) == 1) is (experiment != "all")


@pytest.mark.parametrize("deployment", [d for d in DEPLOYMENTS if len(d) == 1])
def test_every_row_of_table_1_composes_with_every_part_labelled(deployment: str) -> None:
    [config] = compose.plan([f"deployment={deployment}"])
    assert config.deployment.id == deployment
    assert set(config.deployment.labels) == {"model", "precision", "tp", "experts"}
    assert set(config.deployment.labels.values()) <= {"paper", "inferred", "unknown"}


NEEDED = {  # what an option cannot do without
    "workload=jsonl": [f"workload.path={__file__}"],
    "load=trace": ["load.trace=times.csv"],
}


@pytest.mark.parametrize("group", ["load", "workload", "hardware", "corpus", "routing", "gateway"])
def test_every_option_of_a_group_composes(group: str) -> None:
    choices = sorted(path.stem for path in (options.CONF / group).glob("*.yaml"))
    assert choices
    for option in choices:
        chosen = f"{group}={option}"
        compose.plan([chosen, *NEEDED.get(chosen, [])])


def test_fig4_sweeps_the_five_deployments() -> None:
    jobs = compose.plan(["+experiment=fig4"])
    assert [job.deployment.id for job in jobs] == list("abcde")
    assert [job.deployment.gpus for job in jobs] == [4, 4, 8, 8, 8]


def test_the_deployments_of_a_sweep_are_comparable() -> None:
    assert len({study_key(job) for job in compose.plan(["+experiment=fig4"])}) == 1
    assert len({study_key(job) for job in compose.plan(["+experiment=fig4", "clock=virtual"])}) == 1


def test_single_values_override() -> None:
    overrides = ["deployment=e", "load.concurrency=[1,8]", "load.requests_per_user=3"]
    [config] = compose.plan(["+experiment=fig4", *overrides])
    assert config.deployment.id == "e"
    assert config.load.concurrency == [1, 8]
    assert config.load.requests_per_user == 3


def test_multirun_over_chosen_deployments() -> None:
    jobs = compose.jobs_for(options.parse_arguments(COMMAND, ["-m", "deployment=a,e"]))
    assert [job.config.deployment.id for job in jobs] == ["a", "e"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["load.concurency=[1]"], r"^load\.concurency is not .* did you mean load\.concurrency\?$"),
        (["+load.arivals=burst"], r"^load\.arivals is not .* did you mean load\.arrivals\?$"),
        (["deploymnt=a"], r"^deploymnt is not a known key: did you mean deployment\?$"),
        (["+nonsense=1"], "nonsense is not a known key: choose from study, figures"),
        (["engine.scheduler_policy=max_batch"], "scheduler_policy"),
        (["engine.max_num_tokens=100"], r"max_num_tokens is 100: max_batch_size 256 requests"),
        (
            ["engine.chunked_context=true", "engine.max_batch_size=8", "engine.max_num_tokens=16"],
            r"max_num_tokens is 16: with chunked_context .* tokens_per_block 64",
        ),
        (["hydra.run.dir=out"], r"^hydra\.run\.dir has no effect"),
        (
            ["hydra.searchpath=[/nowhere]"],
            r"^hydra\.searchpath has /nowhere, which is not a folder",
        ),
        (["load=[1,2]"], r"^load=\[1,2\]: give the name of one option of conf/load$"),
        (["+capacity={prompts:1}"], r"^\+capacity=\{prompts:1\}: choose \+experiment=capacity"),
        (["cache_dir=/dev/null"], "^cache_dir is '/dev/null': give a folder"),
        (["runs_dir="], "^runs_dir is '': give a folder"),
        (["study=a/b"], "^study is 'a/b': give a name"),
        (["clock.failures=3"], r'typed as "clock\.failures=\[\{expert:0,at_s:10\}\]"$'),
        (["deployment.labels.tp=me"], r"^deployment\.labels\.tp is me: name the origin"),
        (["load.concurrency=[1000000000]"], r"has 1000000000: give 1 to 1048576 users$"),
        (["hydra.sweep.dir=out"], r"^hydra\.sweep\.dir has no effect"),
        (["engine=none"], r"'engine': llmapi llmapi_bf16 llmapi_fp8 simulated"),
        (["deployment.tp=3"], r"deployment\.tp is 3: .* 1, 2, 4 or 8"),
        (["deployment.precision=int3"], "precision"),
        (["load.concurrency=[0]"], r"load\.concurrency has 0"),
        (["load.concurrency=[]"], r"load\.concurrency is empty"),
        (["load.concurrency=[8,1]"], "give rising numbers"),
        (
            ["load.concurrency=many"],
            r"^load\.concurrency=many: give a list such as \[1,2,4\], typed",
        ),
        (["load.concurrency=[1"], "load.concurrency"),
        (["load.request_timeout_s=0"], r"load\.request_timeout_s is 0"),
        (["deployment=z"], "Could not find 'deployment/z'.* a a2 b b2 c d e e1"),
        (["deployment=a,e"], "add -m"),
        (["+experiment=fig99"], "Could not find 'experiment/fig99'"),
        (["deployment=d", "deployment.experts=16"], "needs 16 GPUs .* has 8"),
        (["deployment=e", "load.client=grpc"], "load.client=grpc cannot reach deployment.e"),
        (["engine.kind=real"], r"engine\.kind is real"),
        (["engine=smollm2"], "engine=smollm2 and deployment=smollm2 go together"),
        (["engine.kv_cache_free_gpu_mem_fraction=1.5"], "kv_cache_free_gpu_mem_fraction is 1.5"),
        (["server.http_port=70000"], r"server\.http_port is 70000"),
        (["server.http_port=8000", "server.grpc_port=8000"], r"share one of \[8000, 8000\]"),
        (["seed=-1"], "seed is -1"),
        (["seed=often"], "^seed=often: .* converted to Integer$"),
        (["workload.input.scale=0"], "scale is 0"),
        (["workload.kind=fixed"], r"workload\.kind is fixed: choose a workload with workload="),
        (["workload=fixed", "workload.input_tokens=0"], r"workload\.input_tokens is 0"),
        (["workload=fixed", "workload.input.scale=2"], r"input"),
        (["workload=uniform", "workload.input.at_least=600"], "at_least is 600, at_most is 512"),
        (["workload=lognormal", "workload.output.sigma=0"], "sigma is 0"),
        (["workload=jsonl"], r"workload\.path is empty: give a JSON Lines file"),
        (["workload=shared_prefix", "workload.groups=0"], r"workload\.groups is 0"),
        (["workload=multi_turn", "workload.turns.at_least=9"], "at_least is 9, at_most is 3"),
        (
            ["workload=multi_turn", "workload.turns.at_most=4"],
            "8 users cannot each end .* of 4 turns",
        ),
        (["workload=multi_turn", "workload.context_at_most=99"], "longest first turn has 384"),
        (["load=trace"], r"load\.arrivals is trace and load\.trace is ''"),
        (
            ["load.duration_s=9"],
            r"requests_per_user is 3 and load\.duration_s is 9: one of the two",
        ),
        (["load=trace", "load.trace=a", "load.requests_per_user=1"], "sends what the file has"),
        (["clock.failures=[{expert:0,at_s:1}]"], "clock.failures needs clock=virtual"),
        (["clock=virtual", "clock.failures=[{expert:1,at_s:1}]"], "expert 1, .* has 1, numbered"),
        (["clock=virtual", "clock.failures=[{expert:0,at_s:-1}]"], "has at_s -1"),
        (["corpus.test_share=1"], r"corpus\.test_share is 1"),
        (["routing.shares=[1,2]"], "together with routing.policy=random"),
        (["routing.policy=random", "routing.shares=[0,0]"], "one above 0 at least"),
        (
            ["deployment=e", "routing.policy=random", "routing.shares=[1,2]"],
            r"routing\.shares has 2 weights, deployment\.e 8 experts",
        ),
        (["routing.policy=fastest"], r"routing\.policy.*kmeans, random, round_robin, least_loaded"),
    ],
)
def test_a_bad_configuration_is_refused_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        compose.plan(overrides)
    assert "\n" not in str(refused.value)


def test_every_option_has_a_comment_that_describes_it() -> None:
    for path in options.CONF.glob("*/*.yaml"):
        assert options.first_sentence(path.read_text()), path


def test_a_bad_value_late_in_a_sweep_is_found_before_the_first_job() -> None:
    with pytest.raises(ConfigError, match="tp is 3"):
        compose.plan(["deployment.tp=4,3"], multirun=True)
