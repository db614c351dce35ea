# Written by `bentod render dockerfile`: change the spec, not this file.
# Commands and paths are JSON, and values are in single quotes: nothing in them is replaced or run by a shell.
# `docs/images.md` tells why each line is here.

# ── base: what building and running have in common ──
FROM nvidia/cuda:13.0.2-cudnn-runtime-ubi9@sha256:1212121212121212121212121212121212121212121212121212121212121212 AS base
RUN --mount=type=cache,target=/var/cache/dnf,sharing=locked ["/bin/sh", "-ec", "dnf install --assumeyes --nodocs --setopt=install_weak_deps=0 --setopt=keepcache=1 \"$@\"", "sh", "python3.12", "ffmpeg", "g++"]

# ── build: compilers, pip and caches stay in this stage; only the packages leave it ──
FROM base AS build
RUN --mount=type=cache,target=/var/cache/dnf,sharing=locked ["/bin/sh", "-ec", "dnf install --assumeyes --nodocs --setopt=install_weak_deps=0 --setopt=keepcache=1 \"$@\"", "sh", "gcc", "gcc-c++", "make", "python3.12-devel", "git-core"]
RUN ["python3.12", "-m", "venv", "/opt/pip"]
RUN ["python3.12", "-m", "venv", "--without-pip", "/opt/venv"]
COPY ["requirements.txt", "bentod/bentod-0.1.0-py3-none-any.whl", "/build/"]
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca.pem,required=true --mount=type=secret,id=netrc,required=true --mount=type=secret,id=pip.conf,required=true --mount=type=secret,id=token,required=true ["env", "PIP_CONFIG_FILE=/run/secrets/pip.conf", "NETRC=/run/secrets/netrc", "PIP_CERT=/run/secrets/ca.pem", "/opt/pip/bin/pip", "--python", "/opt/venv/bin/python", "--disable-pip-version-check", "--no-input", "install", "--index-url=https://pypi.example.com/simple", "--extra-index-url=https://more.example.com/simple", "--no-deps", "--require-hashes", "--requirement", "/build/requirements.txt"]
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca.pem,required=true --mount=type=secret,id=netrc,required=true --mount=type=secret,id=pip.conf,required=true --mount=type=secret,id=token,required=true ["env", "PIP_CONFIG_FILE=/run/secrets/pip.conf", "NETRC=/run/secrets/netrc", "PIP_CERT=/run/secrets/ca.pem", "/opt/pip/bin/pip", "--python", "/opt/venv/bin/python", "--disable-pip-version-check", "--no-input", "install", "--index-url=https://pypi.example.com/simple", "--extra-index-url=https://more.example.com/simple", "--no-deps", "/build/bentod-0.1.0-py3-none-any.whl"]

# ── final: what changes least comes first ──
FROM base AS final
COPY --from=build ["/opt/venv", "/opt/venv"]
ENV PATH="/opt/venv/bin:$PATH"
# What `build.run` says.
RUN --mount=type=secret,id=ca.pem,required=true --mount=type=secret,id=netrc,required=true --mount=type=secret,id=pip.conf,required=true --mount=type=secret,id=token,required=true ["python", "-c", "print('$HOME', \"`id`\", 'a\\\\b')"]
RUN --mount=type=secret,id=ca.pem,required=true --mount=type=secret,id=netrc,required=true --mount=type=secret,id=pip.conf,required=true --mount=type=secret,id=token,required=true ["nltk", "download", "--dir=/usr/share/nltk"]
# Each model is a layer of its own.
COPY ["models/bert/", "/models/bert/"]
COPY ["models/tokenizer/", "/models/tokenizer/"]
COPY ["models/baked.json", "/models/baked.json"]
# The project.
COPY ["src/", "/app/"]
WORKDIR /app
# Only /tmp has to be writable, and any user may run this.
ENV HOME=/tmp
ENV LANG=de_DE.UTF-8
ENV LOGNAME=bentod
ENV PYTHONDONTWRITEBYTECODE=1
ENV PYTHONUNBUFFERED=1
ENV BENTOD_LISTEN='0.0.0.0:${PORT:-3000}'
ENV BENTOD_LOG_FORMAT=json
ENV BENTOD_STATE=/tmp/bentod-state
ENV BENTOD_WATCH=false
ENV BENTOD_BAKED_MODELS=/models
ENV GREETING='it'"'"'s "$HOME" '\\' `é` # ${x}'
LABEL dev.bentod.spec=sha256:1212121212121212121212121212121212121212121212121212121212121212
LABEL org.opencontainers.image.title=hello
LABEL team='a b'"'"'s'
EXPOSE 3000
USER 1000:1000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=121s --retries=3 CMD ["bentod", "health", "-f", "/app/bentofile.yaml", "-f", "/app/deploy/more files.yaml"]
ENTRYPOINT ["bentod", "up", "-f", "/app/bentofile.yaml", "-f", "/app/deploy/more files.yaml"]
