FROM python:3.13-slim AS build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY ingestion_server ingestion_server
COPY generated generated
RUN pip install --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home --home-dir /home/server server \
    && install --directory --owner server /var/lib/ingestion-server
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HEALTH_PORT=8080 \
    INGESTION_STATE__FOLDER=/var/lib/ingestion-server
WORKDIR /var/lib/ingestion-server
# What vendors have metered must outlive the container.
VOLUME /var/lib/ingestion-server
USER 10001
EXPOSE 50051 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import http.client, os, sys; door = http.client.HTTPConnection('127.0.0.1', int(os.environ['HEALTH_PORT']), timeout=2); door.request('GET', '/readyz'); sys.exit(door.getresponse().status != 200)"]
ENTRYPOINT ["ingestion-server"]
CMD ["serve", "--grpc", "0.0.0.0:50051", "--http", "0.0.0.0:8080", "--allow-insecure-bind"]
