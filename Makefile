# Every verb of the project; CI calls the same ones.
.DEFAULT_GOAL := help
.PHONY: help setup setup-torch setup-dev demo services services-down test check compile lock images bench clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: ## install what `slipway run` and `slipway serve` need into .venv (no torch)
	@hack/setup laptop

setup-torch: setup ## add torch, for the neural networks
	@hack/setup torch

setup-dev: ## install everything that development and tests need
	@hack/setup dev
	@hack/setup predictor .venv-predictor

demo: setup ## train, publish and serve digits, and ask the model one question
	@.venv/bin/python hack/demo

services: ## start MinIO and an MLflow server on this machine, for `slipway run ... --profile services`
	@hack/setup services
	@.venv/bin/python hack/services up

services-down: ## stop them; their data stays
	@.venv/bin/python hack/services down

test: setup-dev ## run all tests
	@.venv/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

check: setup-dev ## format, lint, types, and that the compiled pipeline is fresh
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/slipway compile --check

compile: setup ## write pipelines/training.yaml
	@.venv/bin/slipway compile

lock: setup ## write requirements/ anew from pyproject.toml
	@PATH="$(CURDIR)/.venv/bin:$$PATH" hack/lock

images: ## build the container images of the steps and of the predictor
	docker build -f Dockerfile.component -t slipway/component:0.1.0 --build-arg ROLE=$(or $(ROLE),component) .
	docker build -f Dockerfile.predictor -t slipway/predictor:0.1.0 .

bench: setup-dev ## measure runs and the predictor (prints tables; minutes)
	@.venv/bin/python hack/bench-run

clean: ## remove environments, caches and everything that runs wrote
	rm -rf .venv .venv-predictor .slipway .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
