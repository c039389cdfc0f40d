FROM python:3.13-slim AS build
WORKDIR /src
COPY .ci/constraints.txt pyproject.toml README.md ./
COPY gateway ./gateway
# Bytecode is not compared with its source's time, which copying may change.
RUN python -m venv /opt/gateway \
    && /opt/gateway/bin/pip install --no-cache-dir --no-compile -c constraints.txt '.[jwt,mcp,redis]' \
    && /opt/gateway/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/gateway/lib

FROM python:3.13-slim
RUN useradd --system --no-create-home --uid 900 gateway
COPY --from=build /opt/gateway /opt/gateway
USER 900
ENV PATH=/opt/gateway/bin:$PATH PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["receipts-gateway", "healthcheck"]
ENTRYPOINT ["receipts-gateway"]
CMD ["serve", "--host", "0.0.0.0"]
