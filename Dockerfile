# The scoring service alone: [serve], no training stack, not root.
#   docker build -t router .
#   docker run -p 8080:8080 -v $PWD/bundle:/bundle:ro -v $PWD/keys.json:/keys.json:ro \
#     -e ROUTER_SERVE_KEYS_FILE=/keys.json router
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY router_ml router_ml
COPY pipelines pipelines
COPY serving serving
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir -c constraints.txt ".[serve]" \
 && rm -rf /venv/lib/python3.11/site-packages/pipelines /venv/bin/router-ml

FROM python:3.11-slim
COPY --from=build /venv /venv
RUN useradd --system --uid 10001 --create-home router \
 && mkdir /decisions /cache && chown router /decisions /cache
USER router
WORKDIR /home/router
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 \
    ROUTER_SERVE_HOST=0.0.0.0 \
    ROUTER_SERVE_PORT=8080 \
    ROUTER_SERVE_BUNDLE=/bundle
VOLUME ["/decisions", "/cache"]
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=2s --start-period=10s CMD \
    ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz')"]
CMD ["python", "-m", "serving"]
