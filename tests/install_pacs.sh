#!/usr/bin/env bash
# Installs a PACS for the tests: Orthanc with its DICOMweb plugin, DCMTK's senders, Chromium and the OHIF viewer (npm).
# This needs Debian's packages and the right to install them. Without them, the tests skip and say why.
set -uo pipefail
cd "$(dirname "$0")/.."
OHIF_VERSION=3.13.2
OHIF="${SARCOMAP_TEST_CACHE:-.cache}/ohif-$OHIF_VERSION"
failed=""

have() { command -v Orthanc >/dev/null && command -v storescu >/dev/null && command -v chromium >/dev/null &&
    [ -f /usr/share/orthanc/plugins/libOrthancDicomWeb.so ]; }

if ! have; then
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=(sudo -n); else as_root=(false); fi
    fi
    if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
        echo "Installing Orthanc, DCMTK and Chromium (a PACS and a browser for the tests) ..."
        export DEBIAN_FRONTEND=noninteractive
        "${as_root[@]}" apt-get update -qq >/dev/null 2>&1
        "${as_root[@]}" apt-get install -y -qq --no-install-recommends \
            orthanc orthanc-dicomweb dcmtk chromium >/dev/null 2>&1
    fi
    have || failed="Orthanc, DCMTK and Chromium"
fi

if [ ! -f "$OHIF/dist/index.html" ]; then
    scratch=""
    if command -v npm >/dev/null; then
        echo "Downloading the OHIF viewer $OHIF_VERSION ..."
        mkdir -p "$(dirname "$OHIF")"
        scratch=$(mktemp -d "$OHIF.XXXXXX")
        npm pack --silent --pack-destination "$scratch" "@ohif/app@$OHIF_VERSION" >/dev/null 2>&1 &&
            tar -xzf "$scratch"/*.tgz -C "$scratch" --exclude='*.map' && mv -T "$scratch/package" "$OHIF"
        rm -rf "$scratch"
    fi
    [ -f "$OHIF/dist/index.html" ] || failed="${failed:+$failed; }OHIF"
fi

[ -z "$failed" ] && exit 0
echo "$failed not installed and could not be installed: tests that need them will be skipped." >&2
# A skip must not go unnoticed where every test should run.
[ -z "${CI:-}" ]
