# SarcoMAP as a MONAI Application Package. See docs/container.md.
#   docker build --format docker -t sarcomap .          (podman build, buildah bud; with Docker leave --format out)
#   docker build --build-arg VARIANT=gpu -t sarcomap:gpu .
# BASE is any Debian-like image with python3.11 and its venv. The default tag may move. For repeatable builds,
# give --build-arg BASE=NAME@sha256:DIGEST.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG VARIANT=cpu
# Build of torch for the CPU image. PyTorch's own index marks builds without CUDA as "+cpu". The build is requested by
# this name, so that the image build fails if no index has one whose digest is in locks/cpu.txt, instead of adding
# gigabytes of CUDA. An empty TORCH_BUILD takes the public index's build and the CUDA libraries that it needs.
ARG TORCH_BUILD=+cpu
ENV PYTHONSAFEPATH=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3.11 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
COPY pyproject.toml MAP.yaml ./
COPY container container
COPY locks locks
COPY operators/__init__.py operators/
COPY operators/core/__init__.py operators/core/errors.py operators/core/kernel_cache.py \
    operators/core/user_cache.py operators/core/
# pip's configuration (index, certificates) is passed as a secret, so no layer holds it.
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    export PYTHONPATH=. && python -m container.install --variant "$VARIANT" --packages pyyaml,setuptools && \
    python -m container.manifests requirements --variant "$VARIANT" --torch-build "$TORCH_BUILD" > requirements.txt && \
    pip install --quiet --no-deps --require-hashes --requirement requirements.txt
# Holoscan links its libraries at the first start of Python, which must run as root.
RUN python -c "pass" && if [ "$VARIANT" = gpu ]; then \
    python -c "import torch; assert torch.version.cuda, f'torch {torch.__version__} has no CUDA'"; fi

WORKDIR /opt/holoscan
COPY app app/app
COPY operators app/operators
COPY bundle/__init__.py app/bundle/
COPY bundle/scripts app/bundle/scripts
COPY pyproject.toml README.md LICENSE app/
COPY bundle/configs models/sarcomap/configs
COPY bundle/models models/sarcomap/models
COPY bundle/docs models/sarcomap/docs
COPY bundle/LICENSE models/sarcomap/
COPY README.md LICENSE docs/
COPY docs docs/docs
COPY MAP.yaml /var/holoscan/app.yaml
COPY --chmod=755 container/tools.sh /var/holoscan/tools
COPY phantom /warm/phantom
# Install only the distribution's name and version, for the reports. The code stays where the specification wants it.
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    pip install --quiet --no-deps --no-build-isolation --editable /opt/holoscan/app && \
    mkdir -p /etc/holoscan /var/holoscan/input /var/holoscan/output /var/holoscan/logs && cd /src && \
    sdk=$(python -c "from importlib.metadata import version; print(version('monai-deploy-app-sdk'))") && \
    PYTHONPATH=. python -m container.manifests app --sdk-version "$sdk" > /etc/holoscan/app.json && \
    PYTHONPATH=. python -m container.manifests pkg --variant "$VARIANT" > /etc/holoscan/pkg.json
# Remove what only tests, compilers and installers need, and the command whose package is not in the image.
RUN site=/opt/venv/lib/python3.11/site-packages && rm -f /opt/venv/bin/sarcomap && \
    pip uninstall --quiet --yes pip && \
    rm -rf $site/torch/include $site/torch/share $site/torch/lib/*.a \
        $site/holoscan/include $site/nvidia/*/include && \
    find $site -type d -name tests -not -path '*/numpy/*' -prune -exec rm -rf {} + && \
    find /opt/venv /opt/holoscan /var/holoscan -name __pycache__ -prune -exec rm -rf {} +
# List the remaining packages, as CycloneDX and as text, with tools that are not in the image.
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    python3.11 -m venv /tmp/sbom && cd /src && \
    PYTHONPATH=. /tmp/sbom/bin/python -m container.install --variant "$VARIANT" --packages cyclonedx-bom && \
    /tmp/sbom/bin/cyclonedx-py environment --output-format JSON \
        --output-file /opt/holoscan/docs/sbom.cdx.json /opt/venv/bin/python && \
    /tmp/sbom/bin/pip --python /opt/venv/bin/python list --format freeze > /opt/holoscan/docs/packages.txt && \
    rm -rf /tmp/sbom
# Process one synthetic study: the build fails here if something necessary was removed. The compiled code (numba,
# ONNX, OpenVINO) is kept, because a container with a read-only root could not store it.
ENV NUMBA_CACHE_DIR=/opt/holoscan/cache/numba SARCOMAP_CACHE=/opt/holoscan/cache/networks
RUN cd /tmp && PYTHONPATH=/warm python -c "from phantom import write_study; write_study('/tmp/warm', seed=1)" && \
    HOLOSCAN_MODEL_PATH=/opt/holoscan/models/sarcomap HOME=/tmp \
        python -m app --quiet --input /tmp/warm/dicom --output /tmp/warm/out && \
    rm -rf /tmp/warm && chmod -R a+rX /opt/venv /opt/holoscan /etc/holoscan /var/holoscan

FROM ${BASE}
ARG VARIANT=cpu
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="SarcoMAP" \
      org.opencontainers.image.description="Muscle phenotypes from neck-to-knee Dixon MRI (MONAI Application Package)" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.documentation="https://doi.org/10.1038/s41746-026-02379-x"
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/holoscan /opt/holoscan
COPY --from=build /etc/holoscan /etc/holoscan
COPY --from=build /var/holoscan /var/holoscan
# Libraries and a font for --pdf. Without them (--build-arg PDF_PACKAGES=) everything else works.
ARG PDF_PACKAGES="libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core"
RUN if [ -n "$PDF_PACKAGES" ]; then \
    apt-get update -qq && apt-get install -y -qq --no-install-recommends $PDF_PACKAGES && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*; fi
# Any --user may write here, as in /tmp: new volumes and tmpfs mounts take owner and mode from this folder.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin sarcomap && \
    mkdir -p /var/lib/sarcomap && chmod 1777 /var/holoscan/output /var/holoscan/logs /var/lib/sarcomap
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HOLOSCAN_INPUT_PATH=/var/holoscan/input/ HOLOSCAN_OUTPUT_PATH=/var/holoscan/output/ \
    HOLOSCAN_WORKDIR=/var/holoscan/ HOLOSCAN_MODEL_PATH=/opt/holoscan/models/ \
    HOLOSCAN_CONFIG_PATH=/var/holoscan/app.yaml HOLOSCAN_DOCS=/opt/holoscan/docs/ HOLOSCAN_LOGS=/var/holoscan/logs/ \
    HOLOSCAN_APP_MANIFEST_PATH=/etc/holoscan/app.json HOLOSCAN_PKG_MANIFEST_PATH=/etc/holoscan/pkg.json
WORKDIR /var/holoscan
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s --retries=3 CMD ["/var/holoscan/tools", "health"]
ENTRYPOINT ["/var/holoscan/tools"]
