# Every verb of the project; CI calls the same ones.
.DEFAULT_GOAL := help
.PHONY: help setup setup-torch setup-dev demo services services-down test test-cluster check lint compile local-model lock images \
  images-gpu cluster-up cluster-down bench clean

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

test-cluster: setup-dev ## run the tests that need a cluster with KServe, on that of $KUBECONFIG; they own the namespace slipway
	@SLIPWAY_CLUSTER=yes .venv/bin/python -m pytest -rP tests/cluster $(ARGS)

lint: setup-dev ## judge the rendered manifests by our rules and by checkov
	@.venv/bin/python hack/lint-manifests
	@.venv/bin/python hack/checkov

check: setup-dev ## format, lint, types, and that the compiled pipeline is fresh
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/slipway compile --check

compile: setup ## write pipelines/*.yaml and what manifests/ has of them
	@.venv/bin/slipway compile

local-model: setup ## name the package that configs/digits.yaml trains now in kustomize/overlays/local
	@.venv/bin/python hack/local-model

lock: setup ## write requirements/ anew from pyproject.toml
	@PATH="$(CURDIR)/.venv/bin:$$PATH" hack/lock

# Name, target, suffix of the name. The label of the sources tells the tests whether an image is that of this tree.
image = docker build -f Dockerfile.$(1) -t slipway/$(1)$(3):0.1.0 $(2:%=--target %) --build-arg VERSION=0.1.0 \
  --build-arg REVISION=$$(git describe --always --dirty --abbrev=40 2>/dev/null || echo unknown) \
  --build-arg SOURCES=$$(hack/sources Dockerfile.$(1) $(2)) .

images: ## build the container images of the steps, of the predictor and of MLflow
	$(call image,component,cpu)
	$(call image,predictor)
	$(call image,mlflow)

images-gpu: ## build the steps' image with torch and CUDA (gigabytes)
	$(call image,component,gpu,-gpu)

cluster-up: ## make a cluster with kind, KServe, Kubeflow Pipelines and ours in it
	@hack/cluster up

cluster-down: ## remove it
	@hack/cluster down

bench: setup-dev ## measure runs and the predictor (prints tables; minutes)
	@.venv/bin/python hack/bench-run

clean: ## remove environments, caches and everything that runs wrote
	rm -rf .venv .venv-predictor .venv-checkov .slipway .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
