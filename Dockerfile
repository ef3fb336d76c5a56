# SamTailor on CPUs: docker build -t samtailor . && docker run --rm -v "$PWD:/work" samtailor predict RUN IMAGE --out masks
# Of the user's own id, so that results are the user's: add --user "$(id -u):$(id -g)".
FROM python:3.12-slim AS build
WORKDIR /source
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY src src
# Where the pinned torch comes with CUDA by default, name the index of its CPU builds: --build-arg TORCH_INDEX=URL
ARG TORCH_INDEX
# torch comes first and alone, else other packages could bring one with CUDA along.
RUN python -m venv /opt/samtailor \
    && /opt/samtailor/bin/pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -c constraints.txt torch \
    && /opt/samtailor/bin/pip install --no-cache-dir -c constraints.txt ".[dicom,geo,onnx]"

FROM python:3.12-slim
COPY --from=build /opt/samtailor /opt/samtailor
RUN useradd --create-home --uid 1000 samtailor && mkdir /cache /work && chmod 1777 /cache /work
# Weights and slices are kept in /cache: mount a volume there, and they are fetched once.
ENV PATH=/opt/samtailor/bin:$PATH SAMTAILOR_HOME=/cache MPLCONFIGDIR=/tmp/matplotlib
USER samtailor
WORKDIR /work
ENTRYPOINT ["samtailor"]
CMD ["--help"]
