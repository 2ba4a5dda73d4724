"""What a prediction can be off by: other draws of the engine's correction, and what remains.

Each draw is a bootstrap over the published runs that the correction was fitted on, with how much
engines differ from the correction that all share (`data/correction.json`). A correction of one's
own is drawn with the same spread. INT8 has no published run to hold against, so its matrix products
are also taken at both of their bounds: as fast as memory and tensor cores allow, and as slow as in
FP16. Around the lowest and highest of these lies what the model cannot explain: a factor for each
quantity, so that 90% of the published figures to fit on lie within; in FP8, of which nothing was
fitted on, so that 90% of those on a node or a model left out of the fit do.
"""

from collections.abc import Iterator
from dataclasses import asdict, replace

from er.config import Correction, Precision
from er.simulation.cost import StepCost, step_cost
from er.simulation.published import fits
from er.simulation.spec import Bound, EngineSpec

REQUESTS, TOKENS = 64, 1024  # of the steps that sort engines from fast to slow


def drawn(spec: EngineSpec) -> Iterator[EngineSpec]:
    """The same engine as it may be."""
    kept = fits()
    chosen = kept["candidates"][kept["chosen"]]
    own = asdict(spec.engine.correction)
    for draw in kept["draws"]:
        values = {
            name: own[name] * draw[name] / chosen[name] if chosen[name] else own[name]
            for name in own
        }
        yield replace(spec, engine=replace(spec.engine, correction=Correction(**values)))


def extremes(spec: EngineSpec) -> list[EngineSpec]:
    """Those of `drawn` that decode and that prefill fastest and slowest, each once, and INT8 at its
    bounds."""
    engines = list(drawn(spec))
    found = []
    for time_of in (decode_ns, prefill_ns):
        times = [time_of(engine) for engine in engines]
        for pick in (min, max):
            engine = engines[times.index(pick(times))]
            if engine not in found:
                found.append(engine)
    if spec.precision is Precision.int8:
        found += [replace(spec, bound=bound) for bound in (Bound.roofline, Bound.fp16)]
    return found


def decode_ns(spec: EngineSpec) -> int:
    """Time of a step of some requests that decode."""
    return probed(spec).decode(REQUESTS, REQUESTS * TOKENS // 2)


def prefill_ns(spec: EngineSpec) -> int:
    """Time of a step of one long prompt."""
    return probed(spec).mixed(0, 0, [(0, TOKENS)])


def probed(spec: EngineSpec) -> StepCost:
    """The step times of a small engine of the same kind: quick to tabulate."""
    engine = replace(
        spec.engine, max_batch_size=REQUESTS, max_num_tokens=TOKENS, max_seq_len=TOKENS
    )
    return step_cost(replace(spec, engine=engine))


def factor_of(quantity: str, precision: Precision) -> float:
    """By how much a quantity may lie beyond the lowest and highest of the draws.

    Nothing in FP8 was fitted on: its engines may be as far off as those of a node or a model that
    was left out of the fit.
    """
    kind = "unseen_factors" if precision is Precision.fp8 else "residual_factors"
    factors: dict[str, float] = fits()[kind]
    return factors["tokens_per_s" if quantity == "requests_per_s" else quantity.partition(".")[0]]
