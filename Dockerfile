FROM python:3.13-slim AS build
WORKDIR /src
COPY .ci/constraints.txt pyproject.toml README.md ./
COPY gateway ./gateway
RUN python -m venv /opt/gateway \
    && /opt/gateway/bin/pip install --no-cache-dir --no-compile -c constraints.txt '.[jwt,redis]'

FROM python:3.13-slim
RUN useradd --system --no-create-home --uid 10001 gateway
COPY --from=build /opt/gateway /opt/gateway
USER 10001
ENV PATH=/opt/gateway/bin:$PATH PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["receipts-gateway"]
CMD ["serve", "--host", "0.0.0.0"]
