# certctl-mcp as a container: the HTTP server, or with the argument `worker` a worker. docs/install.md says how to run it.

FROM python:3.13-slim AS build
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_PROJECT_ENVIRONMENT=/opt/certctl-mcp UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /src
# The dependencies are a layer of their own, which stays while only the program changes.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --locked --no-install-project --compile-bytecode --extra apprise --extra chart --extra demo --extra otel --extra postgres
COPY certctl_mcp certctl_mcp
COPY storage storage
RUN uv sync --locked --no-editable --compile-bytecode --extra apprise --extra chart --extra demo --extra otel --extra postgres

FROM python:3.13-slim
# By number, so that an orchestrator can see that it is not root.
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin certctl \
    && install -d -o 10001 -g 10001 -m 700 /data
COPY --from=build /opt/certctl-mcp /opt/certctl-mcp
ENV PATH=/opt/certctl-mcp/bin:$PATH PYTHONDONTWRITEBYTECODE=1 CERTCTL_DATABASE_URL=sqlite:////data/notifications.db
USER 10001:10001
# Nothing else is written to, so the root file system can be read-only.
VOLUME ["/data"]
WORKDIR /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=4)"]
ENTRYPOINT ["certctl-mcp"]
# Beyond loopback it serves only with keys: CERTCTL_API_KEYS_NAMED.
CMD ["serve", "--http", "--host", "0.0.0.0"]
