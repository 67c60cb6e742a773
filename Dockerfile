# The service alone; models and Elasticsearch are other containers (docker-compose.yml).
FROM python:3.13-slim-trixie AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN apt-get update && apt-get install -y --no-install-recommends gcc g++ && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/searchsvc
WORKDIR /src
COPY constraints.txt .
RUN /opt/searchsvc/bin/pip install --require-hashes -r constraints.txt
COPY pyproject.toml README.md LICENSE ./
COPY searchsvc searchsvc
COPY index_mappings index_mappings
RUN /opt/searchsvc/bin/pip install --no-deps .

FROM python:3.13-slim-trixie
RUN useradd --create-home --uid 10001 searchsvc && install -d -o searchsvc /var/lib/searchsvc
COPY --from=build /opt/searchsvc /opt/searchsvc
ENV PATH=/opt/searchsvc/bin:$PATH PYTHONUNBUFFERED=1 SEARCHSVC_DATA_DIR=/var/lib/searchsvc
USER searchsvc
EXPOSE 8080
STOPSIGNAL SIGTERM
CMD ["searchsvc", "serve"]
