# The only menu. Each line is one command; the work is in scripts/ and dev/.
.DEFAULT_GOAL := help
.PHONY: help bootstrap build demo test bench fuzz check fmt clean

help: ## This list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

bootstrap: ## Install what is missing: Debian packages, native libraries
	@scripts/bootstrap

build: bootstrap ## The release binary: bin/aerie
	@dev/build-release

demo: build ## From raw transactions to live predictions, in one process
	@scripts/demo

test: ## Every test, from a clean clone or again
	@dev/test

bench: build ## Aerie beside its peers, in one run on this machine
	@dev/bench

fuzz: bootstrap ## Every parser against inputs that are nearly right, steered by coverage, for SECONDS each
	@dev/build-fuzz
	@.build-fuzz/debug/aerie-fuzz --seconds $(or $(SECONDS),60) --seed $(or $(SEED),1) $(FUZZ)

check: ## Layers, style and leftovers, without building
	@dev/check-layers
	@dev/tidy

fmt: ## Format the Swift code
	@swift format --in-place --recursive --configuration .swift-format Sources Tests Fuzz Benchmarks/*/

clean: ## Remove what the build made; keeps .native and .venv
	@rm -rf .build .build-release .build-fuzz bin
