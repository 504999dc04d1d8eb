# The project on the CPU, from the lock. The project's tests do not build this image: tell us if a step fails.
# For a GPU, start from nvidia/cuda:12.2.2-cudnn8-runtime-ubuntu22.04 (TensorFlow 2.15's versions), install Python 3.11 and make,
# and add: RUN .venv/bin/pip install "tensorflow[and-cuda]==2.15.1"
FROM python:3.11-slim-bookworm

# Skia, which draws the built-in data, needs the graphics libraries.
RUN apt-get update && apt-get install --yes --no-install-recommends git libegl1 libexpat1 libgl1 make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /asen-tf
COPY . .
RUN make .venv/.installed PYTHON=python3.11

CMD ["make", "help"]
