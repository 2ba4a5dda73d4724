"""Names of the files and folders of a run directory; `er.results.run_dir` says what they hold."""

CONFIG = "config.json"
PROVENANCE = "provenance.json"
RECORD = "run.json"
POINTS = "points.json"
PREDICTED = "predicted.json"
STEP_TIMES = "step_times.json"  # of a prediction: the source of its step times
KNEE = "knee.json"
CAPACITY = "capacity.json"
GATEWAY_COST = "gateway_cost.json"
ENGINE = "engine.json"
ROUTER_MAP = "router_map.json"  # the prompts that a router was trained on, in two dimensions
ENDPOINTS = "endpoints.json"
REQUESTS = "requests"
GPUS = "gpus"
LOGS = "logs"
SESSIONS = "sessions"
SET_ASIDE = "set_aside"
LOCK = "lock"
ID_TAG = "er.id"  # MLflow's tag with the id of the run, which is the same in every store
