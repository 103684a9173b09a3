#!/usr/bin/env bash
# Installs reference software that no Python index has: R with packages for the statistics, and ShellCheck.
# This needs Debian's packages and the right to install them. Without them, the tests skip and say why.
set -uo pipefail
# MASS, nnet (which mice calls) and survival come with R's recommended packages, also outside Debian. sva (ComBat) needs
# half of Bioconductor, so it is not installed here: the tests keep its numbers.
libraries='library(MASS); library(survival); library(lme4); library(cmprsk); library(mice); library(nlme); library(nnet)'
packages=(r-base-core r-cran-mass r-cran-survival r-cran-lme4 r-cran-cmprsk r-cran-mice r-cran-nlme r-cran-nnet shellcheck)
if command -v shellcheck >/dev/null && command -v Rscript >/dev/null && Rscript -e "$libraries" >/dev/null 2>&1; then
    exit 0
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=(sudo -n); else as_root=(false); fi
fi
if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
    echo "Installing R with packages (reference for the statistics) and ShellCheck ..."
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update -qq >/dev/null 2>&1
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null 2>&1 && exit 0
fi
echo "R with its packages, or ShellCheck, is not installed and could not be installed: their tests will be skipped." >&2
# A skip must not go unnoticed where every test should run.
[ -z "${CI:-}" ]
