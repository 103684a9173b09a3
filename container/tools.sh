#!/bin/sh
# The commands of the container, as the MAP specification requires. Without a command, the application runs.
set -eu

EXPORT=${SARCOMAP_EXPORT:-/var/run/holoscan/export}

usage() {
    cat <<'TEXT'
USAGE: [command] [arguments]
  run [OPTIONS]      one study of /var/holoscan/input to /var/holoscan/output (also without a command;
                     OPTIONS are those of python -m app: run --help)
  serve [OPTIONS]    listen for studies (serve --help)
  show [app|pkg]     print the manifests
  extract            copy what is inside to what is mounted: /var/run/holoscan/export/{app,config,models,docs},
                     or all of it to /var/run/holoscan/export
  health             0 when the service answers, or a study can be run
  help               this text
TEXT
}

fail() { # where, found, expected, remedy; the last argument is the exit code
    echo "error: $1: $2; expected $3. $4" >&2
    exit "$5"
}

# The root may be read-only and the user arbitrary, so everything that libraries write goes into one folder.
prepare() {
    scratch=${TMPDIR:-/tmp}/sarcomap-$(id -u)
    if ! mkdir -p "$scratch/home" 2>/dev/null || [ ! -w "$scratch" ]; then
        fail "${TMPDIR:-/tmp}" "cannot be written" "a folder for temporary files" \
            "Mount one: --tmpfs /tmp (docker), or emptyDir (Kubernetes)." 5
    fi
    export HOME="$scratch/home" XDG_CACHE_HOME="$scratch/cache" MPLCONFIGDIR="$scratch/matplotlib"
    export NUMBA_CACHE_DIR="$scratch/numba" SARCOMAP_CACHE="$scratch/networks"
    for name in numba networks; do # compiled during the build; both libraries write beside the files that they read
        if [ ! -d "$scratch/$name" ] && [ -d "/opt/holoscan/cache/$name" ]; then
            cp -r "/opt/holoscan/cache/$name" "$scratch/.$name.$$" && mv "$scratch/.$name.$$" "$scratch/$name"
        fi
    done
    find_model
}

# The specification's variable names the folder of all models; the application needs the folder of one.
find_model() {
    models=${HOLOSCAN_MODEL_PATH:-/opt/holoscan/models}
    [ -f "$models/models/shipped.json" ] && return
    found=""
    for card in "$models"/*/models/shipped.json; do
        [ -f "$card" ] || continue
        [ -z "$found" ] || fail "$models" "several models" "one" "Say which: -m $models/NAME." 2
        found=${card%/models/shipped.json}
    done
    if [ -n "$found" ]; then export HOLOSCAN_MODEL_PATH="$found"; fi
}

# If a folder holds one zip and nothing else, the zip is the input.
find_input() {
    folder=${HOLOSCAN_INPUT_PATH:-/var/holoscan/input}
    [ -d "$folder" ] || return 0
    set -- "$folder"/*
    case $# in 1) case $1 in *.zip | *.ZIP) [ -f "$1" ] && export HOLOSCAN_INPUT_PATH="$1" ;; esac ;; esac
    return 0
}

copy() { # from, to
    [ -w "$2" ] || fail "$2" "cannot be written by user $(id -u)" "a mounted folder of that user" \
        "Run with --user \"\$(id -u):\$(id -g)\", or change the folder's owner." 5
    cp -rL "$1/." "$2/"
}

copy_config() {
    [ -w "$1" ] || fail "$1" "cannot be written by user $(id -u)" "a mounted folder of that user" \
        "Run with --user \"\$(id -u):\$(id -g)\", or change the folder's owner." 5
    cp /var/holoscan/app.yaml /etc/holoscan/app.json /etc/holoscan/pkg.json "$1/"
}

extract() {
    [ -d "$EXPORT" ] || fail "$EXPORT" "nothing is mounted there" "a folder" "Add -v \"\$PWD/export:$EXPORT\"." 2
    some=""
    for part in app models docs; do
        if [ -d "$EXPORT/$part" ]; then
            copy "/opt/holoscan/$part" "$EXPORT/$part"
            some=1
        fi
    done
    if [ -d "$EXPORT/config" ]; then
        copy_config "$EXPORT/config"
        some=1
    fi
    [ -z "$some" ] || return 0
    [ -w "$EXPORT" ] || copy /opt/holoscan/app "$EXPORT" # says why not
    mkdir "$EXPORT/app" "$EXPORT/models" "$EXPORT/docs" "$EXPORT/config"
    for part in app models docs; do copy "/opt/holoscan/$part" "$EXPORT/$part"; done
    copy_config "$EXPORT/config"
}

show() {
    case ${1:-both} in
    app | pkg) cat "/etc/holoscan/$1.json" ;;
    both)
        cat /etc/holoscan/app.json /etc/holoscan/pkg.json
        ;;
    *) fail "show" "$1" "app, pkg or nothing" "See help." 2 ;;
    esac
}

health() {
    # The service reports its own health; a single run is healthy if its files exist. `serve` leaves a note with its
    # arguments, because process 1 may be an init (docker --init) and a dead service must not look like a run.
    started=${TMPDIR:-/tmp}/sarcomap-$(id -u)/serve
    if [ -f "$started" ]; then
        exec python -m app.serve.health "$started"
    fi
    prepare
    exec python -c '
import json, pathlib
for name in ("app", "pkg"):
    json.loads(pathlib.Path(f"/etc/holoscan/{name}.json").read_text())
import app.study_command
'
}

command=${1:-run}
case $command in
run)
    [ $# -eq 0 ] || shift
    prepare
    find_input
    exec python -m app "$@"
    ;;
serve)
    shift
    prepare
    printf '%s\0' "$@" >"$scratch/serve"
    exec python -m app.serve "$@"
    ;;
show | extract | health)
    shift
    "$command" "$@"
    ;;
help | --help | -h) usage ;;
-*)
    prepare
    find_input
    exec python -m app "$@"
    ;;
*) fail "command" "$command" "run, serve, show, extract, health or help" "See help." 2 ;;
esac
