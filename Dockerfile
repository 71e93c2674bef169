# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/finexio-mcp
ENV PATH=/opt/finexio-mcp/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.lock .
RUN pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY tool_schemas tool_schemas
COPY finexio_mcp finexio_mcp
RUN pip install --no-deps --no-build-isolation . && pip uninstall --yes hatchling editables

FROM python:3.13-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/finexio-mcp --create-home finexio \
    && chmod 0700 /var/lib/finexio-mcp
COPY --from=build /opt/finexio-mcp /opt/finexio-mcp
ENV PATH=/opt/finexio-mcp/bin:$PATH PYTHONUNBUFFERED=1 XDG_STATE_HOME=/var/lib/finexio-mcp
USER 10001
WORKDIR /var/lib/finexio-mcp
VOLUME /var/lib/finexio-mcp
ENTRYPOINT ["finexio-mcp"]
