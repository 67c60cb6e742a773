# The service alone; models and Elasticsearch are other containers (docker-compose.yml).
FROM python:3.13-slim-trixie AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN apt-get update && apt-get install -y --no-install-recommends gcc g++ && rm -rf /var/lib/apt/lists/*
RUN pip install uv && python -m venv --without-pip /opt/searchsvc
WORKDIR /src
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY searchsvc searchsvc
COPY index_mappings index_mappings
# What the service needs and no test tools; uv checks the hashes that the constraints hold. rjieba cuts Chinese faster.
RUN uv pip install --python /opt/searchsvc/bin/python --compile-bytecode -c constraints.txt . rjieba

FROM python:3.13-slim-trixie
RUN useradd --create-home --uid 10001 searchsvc && install -d -o searchsvc /var/lib/searchsvc
COPY --from=build /opt/searchsvc /opt/searchsvc
ENV PATH=/opt/searchsvc/bin:$PATH PYTHONUNBUFFERED=1 SEARCHSVC_DATA_DIR=/var/lib/searchsvc
USER searchsvc
EXPOSE 8080
STOPSIGNAL SIGTERM
CMD ["searchsvc", "serve"]
