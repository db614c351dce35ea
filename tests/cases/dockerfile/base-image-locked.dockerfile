# Written by `bentod render dockerfile`: change the spec, not this file.
# Commands and paths are JSON, and values are in single quotes: nothing in them is replaced or run by a shell.
# `docs/images.md` tells why each line is here.

# ── base: what building and running have in common ──
FROM registry.example.com:5000/team/python:1 AS base
# Packages are installed by root, whoever runs the base image; the last stage has its own user.
# hadolint ignore=DL3002
USER 0:0

# ── build: compilers, pip and caches stay in this stage; only the packages leave it ──
FROM base AS build
RUN ["/bin/sh", "-ec", "for one in \"$@\"; do if command -v \"$one\" > /dev/null; then \"$one\" -m venv /opt/pip && exec \"$one\" -m venv --without-pip /opt/venv; fi; done; echo 'the base image has no Python' >&2; exit 1", "sh", "python3", "python"]
RUN ["/opt/venv/bin/python", "-c", "import sys; wanted = sys.argv[1]; found = '%d.%d' % sys.version_info[:2]; fits = found == wanted if wanted else sys.version_info >= (3, 11); sys.exit(None if fits else 'this image has Python ' + found + ', not ' + (wanted or '3.11 or newer'))", ""]
COPY ["requirements.txt", "bentod/bentod-0.1.0-py3-none-any.whl", "/build/"]
RUN --mount=type=cache,target=/root/.cache/pip ["/opt/pip/bin/pip", "--python", "/opt/venv/bin/python", "--disable-pip-version-check", "--no-input", "install", "--no-deps", "--require-hashes", "--requirement", "/build/requirements.txt"]
RUN --mount=type=cache,target=/root/.cache/pip ["/opt/pip/bin/pip", "--python", "/opt/venv/bin/python", "--disable-pip-version-check", "--no-input", "install", "--no-deps", "/build/bentod-0.1.0-py3-none-any.whl"]

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
