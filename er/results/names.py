"""Names of the files of a run directory."""

CONFIG = "config.json"
PROVENANCE = "provenance.json"
RECORD = "run.json"
POINTS = "points.json"
PREDICTED = "predicted.json"
STEP_TIMES = "step_times.json"  # of a prediction: where they come from
KNEE = "knee.json"
CAPACITY = "capacity.json"
GATEWAY_COST = "gateway_cost.json"
ENGINE = "engine.json"
ROUTER_MAP = "router_map.json"  # what a router was trained on, in two dimensions
ENDPOINTS = "endpoints.json"
REQUESTS = "requests"
GPUS = "gpus"
LOGS = "logs"
SESSIONS = "sessions"
SET_ASIDE = "set_aside"
LOCK = "lock"
ID_TAG = "er.id"  # in MLflow: of the run itself, whichever store it is in
