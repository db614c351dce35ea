# Written by `bentod render dockerfile`: change the spec, not this file.
# Commands and paths are JSON, and values are in single quotes: nothing in them is replaced or run by a shell.
# `docs/images.md` tells why each line is here.
FROM python:3.12-slim-bookworm AS python

# ── base: what building and running have in common ──
FROM nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04 AS base
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked ["/bin/sh", "-ec", "rm -f /etc/apt/apt.conf.d/docker-clean && apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \"$@\"", "sh", "ca-certificates", "libbz2-1.0", "libexpat1", "libffi8", "liblzma5", "libncursesw6", "libreadline8t64", "libsqlite3-0", "libssl3t64", "libuuid1", "netbase", "tzdata", "zlib1g"]
COPY --from=python ["/usr/local/bin/", "/usr/local/bin/"]
COPY --from=python ["/usr/local/include/", "/usr/local/include/"]
COPY --from=python ["/usr/local/lib/", "/usr/local/lib/"]
RUN ["ldconfig"]

# ── build: compilers, pip and caches stay in this stage; only the packages leave it ──
FROM base AS build
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt/lists,sharing=locked ["/bin/sh", "-ec", "rm -f /etc/apt/apt.conf.d/docker-clean && apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \"$@\"", "sh", "build-essential"]
RUN ["python3", "-m", "venv", "/opt/pip"]
RUN ["python3", "-m", "venv", "--without-pip", "/opt/venv"]
COPY ["requirements.txt", "bentod/bentod-0.1.0-py3-none-any.whl", "/build/"]
RUN --mount=type=cache,target=/root/.cache/pip ["/opt/pip/bin/pip", "--python", "/opt/venv/bin/python", "--disable-pip-version-check", "--no-input", "install", "--requirement", "/build/requirements.txt", "/build/bentod-0.1.0-py3-none-any.whl"]

# ── final: what changes least comes first ──
FROM base AS final
COPY --from=build ["/opt/venv", "/opt/venv"]
ENV PATH="/opt/venv/bin:$PATH"
# The project.
COPY ["src/", "/app/"]
WORKDIR /app
# Only /tmp has to be writable, and any user may run this.
ENV HOME=/tmp
ENV LANG=C.UTF-8
ENV LOGNAME=bentod
ENV PYTHONDONTWRITEBYTECODE=1
ENV PYTHONUNBUFFERED=1
ENV BENTOD_LISTEN='0.0.0.0:${PORT:-3000}'
ENV BENTOD_LOG_FORMAT=json
ENV BENTOD_STATE=/tmp/bentod-state
ENV BENTOD_WATCH=false
LABEL dev.bentod.spec=sha256:1212121212121212121212121212121212121212121212121212121212121212
LABEL org.opencontainers.image.title=hello
EXPOSE 3000
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["bentod", "health", "-f", "/app/bentofile.yaml"]
ENTRYPOINT ["bentod", "up", "-f", "/app/bentofile.yaml"]
