#!/usr/bin/env bash
# Builds the container and runs a whole synthetic study in it, without a network, with a read-only root, and with
# limits on processes and files. Needs root and Debian's podman, buildah, debootstrap and runc, but no Docker engine.
# Missing packages are installed.
#   BASE=IMAGE     the base image; by default debootstrap makes one, which is kept as localhost/sarcomap-base
#   VARIANT=gpu    the other variant, run without a GPU
#   LAYERS=true    keep layers for the next build
#   SKIP_BUILD=1   use the existing image
set -euo pipefail
cd "$(dirname "$0")/../.."
IMAGE=${IMAGE:-localhost/sarcomap}
VARIANT=${VARIANT:-cpu}
PYTHON=${PYTHON:-.venv/bin/python}
PACKAGES=(podman buildah debootstrap runc)
# By default the engine requests higher limits than a sandbox may allow. A study needs no more than these.
LIMITS=(--ulimit nofile=1024:1024 --ulimit nproc=1024:1024)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() { echo "error: container: $1" >&2; exit 1; }
say() { echo "== $*"; }
equal() { [ "$2" = "$3" ] || fail "$1: found '$2', expected '$3'"; }

missing=0
for tool in "${PACKAGES[@]}"; do command -v "$tool" >/dev/null || missing=1; done
if [ $missing = 1 ]; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "${PACKAGES[*]} are not all here; install them"
    apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${PACKAGES[@]}" >/dev/null
fi

if [ -z "${BASE:-}" ]; then
    BASE=localhost/sarcomap-base:bookworm
    if ! podman image exists "$BASE"; then
        say "base: Debian bookworm with Python 3.11, by debootstrap"
        debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$scratch/base" \
            >"$scratch/debootstrap.log" 2>&1 || { tail -5 "$scratch/debootstrap.log" >&2; fail "no base image"; }
        rm -rf "$scratch"/base/var/cache/apt/archives/*.deb "$scratch"/base/var/lib/apt/lists/*
        tar -C "$scratch/base" -c . | podman import -q - "$BASE" >/dev/null
        rm -rf "$scratch/base"
    fi
fi

if [ -z "${SKIP_BUILD:-}" ]; then
    say "build ($VARIANT)"
    # Inside the build, pip has this machine's configuration: one merged file as a secret, and mounts of the local
    # folders and certificates in it. Neither gets into a layer.
    "$PYTHON" tests/container/pip_configuration.py "$scratch/pip.conf" >"$scratch/mounts"
    mounts=()
    while read -r path; do mounts+=(-v "$path:$path:ro"); done <"$scratch/mounts"
    # Docker's format, because OCI's has no HEALTHCHECK
    buildah bud --format docker --isolation chroot --network host --layers="${LAYERS:-false}" --pull-never \
        --secret "id=pip_conf,src=$scratch/pip.conf" "${mounts[@]}" \
        --build-arg BASE="$BASE" --build-arg VARIANT="$VARIANT" ${TORCH_BUILD+--build-arg TORCH_BUILD="$TORCH_BUILD"} \
        --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
        --build-arg CREATED="$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
        -t "$IMAGE:$VARIANT" . >"$scratch/build.log" 2>&1 || { tail -40 "$scratch/build.log" >&2; fail "build"; }
fi
bytes=$(podman image inspect --format '{{.Size}}' "$IMAGE:$VARIANT")
say "image: $((bytes / 1000000)) MB"
[ "$VARIANT" = cpu ] && [ "$bytes" -gt 3000000000 ] && fail "the image is larger than 3 GB"

podman_run() { # as the owner of the folders, not as the image's user
    podman --runtime runc run --rm --no-healthcheck --network=none --read-only --cap-drop all --security-opt no-new-privileges \
        --user 12345:12345 "${LIMITS[@]}" "$@"
}

say "labels, user, health check"
podman image inspect "$IMAGE:$VARIANT" >"$scratch/inspect.json"
"$PYTHON" - "$scratch/inspect.json" <<'PY'
import json, sys
image = json.load(open(sys.argv[1]))[0]
labels = image["Labels"]
for key in ("title", "version", "licenses", "revision"):
    print(f"   {key}: {labels['org.opencontainers.image.' + key]}")
assert image["User"].split(":")[0] not in ("", "0", "root"), "the image runs as root"
assert "health" in str(image.get("Healthcheck") or image["Config"].get("Healthcheck")), "no health check"
secret = [line for line in image["History"] if "pip.conf" in str(line) and "index" in str(line)]
assert not secret, "pip's configuration is in the image's history"
PY

say "show"
podman_run "$IMAGE:$VARIANT" show app >"$scratch/app.json"
podman_run "$IMAGE:$VARIANT" show pkg >"$scratch/pkg.json"
"$PYTHON" - "$scratch" "$VARIANT" <<'PY'
import json, sys
from pathlib import Path
from container.manifests import app_manifest, package_manifest, read_map
folder, description = Path(sys.argv[1]), read_map(Path("MAP.yaml"))
app = json.loads((folder / "app.json").read_text())
assert app == app_manifest(description, app["sdkVersion"]), "app.json is not that of MAP.yaml"
assert json.loads((folder / "pkg.json").read_text()) == package_manifest(description, sys.argv[2]), "pkg.json"
print(f"   command: {app['command']}   sdk: {app['sdk']} {app['sdkVersion']}")
PY
[ "$VARIANT" = cpu ] || say "the gpu variant: what follows runs on the processor, as it must where no GPU is given"

say "extract"
mkdir "$scratch/export" && chown 12345:12345 "$scratch/export"
podman_run -v "$scratch/export:/var/run/holoscan/export" "$IMAGE:$VARIANT" extract
for file in app/app/__main__.py models/sarcomap/models/shipped.json docs/LICENSE docs/packages.txt config/app.json \
    config/pkg.json config/app.yaml; do [ -s "$scratch/export/$file" ] || fail "extract left out $file"; done
"$PYTHON" - "$scratch/export/docs" <<'PY'
import json, sys
from pathlib import Path
docs = Path(sys.argv[1])
listed = dict(line.split("==") for line in (docs / "packages.txt").read_text().split())
bill = {part["name"]: part["version"] for part in json.loads((docs / "sbom.cdx.json").read_text())["components"]}
for name in ("torch", "pydicom", "highdicom", "monai"):
    assert bill[name] == listed[name], f"{name}: {bill[name]} in the SBOM, {listed[name]} in packages.txt"
assert "pytest" not in bill and "pip" not in bill, "the SBOM names what is not in the image"
print(f"   SBOM: {len(bill)} packages")
PY
cmp -s bundle/models/demo_unetr.pt "$scratch/export/models/sarcomap/models/demo_unetr.pt" || fail "other weights"
code=0; podman_run "$IMAGE:$VARIANT" extract 2>"$scratch/error" || code=$?
equal "extract with nothing mounted" $code 2
echo "   $(find "$scratch/export" -type f | wc -l) files; with nothing mounted: $(cat "$scratch/error")"

say "nothing that tells where packages came from"
mount=$(podman image mount "$IMAGE:$VARIANT")
[ -e "$mount/etc/pip.conf" ] && [ -s "$mount/etc/pip.conf" ] && fail "pip.conf is in the image"
podman image unmount "$IMAGE:$VARIANT" >/dev/null

say "a synthetic study: no network, read-only root, user 12345, 1024 files and processes, no capability"
mkdir "$scratch/in" "$scratch/out" && chown 12345:12345 "$scratch/out"
"$PYTHON" -m phantom study --out "$scratch/made" --seed 7 --zip --compress >/dev/null
cp "$scratch"/made/*.zip "$scratch/in/" && chmod -R a+rX "$scratch/in" && chmod a+x "$scratch"
cid="$scratch/cid"
begun=$SECONDS
podman_run --memory 4g --cidfile "$cid" -v "$scratch/in:/var/holoscan/input:ro" -v "$scratch/out:/var/holoscan/output" \
    "$IMAGE:$VARIANT" 2>"$scratch/run.log" || { cat "$scratch/run.log" >&2; fail "the study ended with $?"; }
sed 's/^/   /' "$scratch/run.log"
echo "   $((SECONDS - begun)) s in all, 4 GiB allowed"
"$PYTHON" - "$scratch/out" <<'PY'
import json, sys
from pathlib import Path
from operators.core.output_folder import OUTPUT_FILES, missing
folder = Path(sys.argv[1])
assert not missing(folder, OUTPUT_FILES), missing(folder, OUTPUT_FILES)
report = json.loads((folder / "report.json").read_text())
assert report["phenotypes"]["tmv_cm3"] > 1000, report["phenotypes"]
assert report["model"]["synthetic_training"] is True, report["model"]
print(f"   software {report['software']['version']}, TMV {report['phenotypes']['tmv_cm3']:.0f} cm3,",
      f"P/A {report['phenotypes']['pa_ratio']:.3f}, files: {len(OUTPUT_FILES)}")
PY

say "what cannot be used"
mkdir "$scratch/empty"; chmod a+rx "$scratch/empty"
code=0; podman_run -v "$scratch/empty:/var/holoscan/input:ro" -v "$scratch/out:/var/holoscan/output" \
    "$IMAGE:$VARIANT" run --quiet 2>"$scratch/error" || code=$?
equal "an empty input" $code 3; echo "   exit code 3: $(cat "$scratch/error")"
code=0; podman_run "$IMAGE:$VARIANT" run --spacing x 2>/dev/null || code=$?
equal "a wrong option" $code 2
code=0; podman_run "$IMAGE:$VARIANT" fly 2>"$scratch/error" || code=$?
equal "an unknown command" $code 2; echo "   exit code 2: $(cat "$scratch/error")"
code=0; podman_run --read-only-tmpfs=false "$IMAGE:$VARIANT" run 2>"$scratch/error" || code=$?
equal "no place for temporary files" $code 5; echo "   exit code 5: $(cat "$scratch/error")"

say "health: a run, then the service with its queue on a volume and on a tmpfs"
podman_run "$IMAGE:$VARIANT" health
name="sarcomap-test-$$"
trap 'podman rm -f "$name" >/dev/null 2>&1; podman volume rm -f "$name" >/dev/null 2>&1; rm -rf "$scratch"' EXIT
podman volume create "$name" >/dev/null
service() { # title; options of the engine: place of the queue and user
    what=$1; shift
    # With the image's own health check. Podman's timers for it need systemd; without systemd it prints complaints.
    podman --runtime runc run -d --name "$name" --network=none --read-only --cap-drop all "${LIMITS[@]}" "$@" \
        "$IMAGE:$VARIANT" serve --spool /var/lib/sarcomap >/dev/null 2>"$scratch/error" ||
        { cat "$scratch/error" >&2; fail "the service does not start"; }
    healthy=no
    for _ in $(seq 60); do
        if podman healthcheck run "$name" >/dev/null 2>&1; then healthy=yes; break; fi
        [ "$(podman inspect --format '{{.State.Running}}' "$name")" = true ] || break
        sleep 1
    done
    [ $healthy = yes ] || podman logs "$name" >&2
    podman exec "$name" sh -c 'for state in incoming queued running sending done failed; do
        [ -O "/var/lib/sarcomap/$state" ] && [ "$(stat -c %a "/var/lib/sarcomap/$state")" = 700 ] || exit 1; done' ||
        fail "$what: the queue is not the service's own"
    podman stop -t 20 "$name" >/dev/null 2>&1
    code=$(podman inspect --format '{{.State.ExitCode}}' "$name"); podman rm "$name" >/dev/null
    equal "$what: the service is healthy" $healthy yes
    equal "$what: the service stops in order" "$code" 0
    echo "   $what: healthy, the queue readable by its owner only, 0 on SIGTERM"
}
service "user 12345, a new volume" --user 12345:12345 -v "$name:/var/lib/sarcomap"
service "user 12345, the same volume again" --user 12345:12345 -v "$name:/var/lib/sarcomap"
service "user 12345, a tmpfs" --user 12345:12345 --tmpfs /var/lib/sarcomap
service "the image's user, a tmpfs" --tmpfs /var/lib/sarcomap
mkdir "$scratch/theirs" # owned by root
code=0; podman_run -v "$scratch/theirs:/var/lib/sarcomap" "$IMAGE:$VARIANT" serve --spool /var/lib/sarcomap \
    2>"$scratch/error" || code=$?
equal "a folder of another user's" $code 5; echo "   exit code 5: $(tail -1 "$scratch/error")"
say "all held"
