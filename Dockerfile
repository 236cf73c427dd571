# Airflow's services and MLflow's server: the whole lock, Upkeep, its DAGs and plugins.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    UV_NO_CACHE=1 \
    UV_LINK_MODE=copy \
    HF_HUB_OFFLINE=1 \
    TRANSFORMERS_OFFLINE=1 \
    AIRFLOW_HOME=/var/lib/airflow \
    PYTHONPATH=/opt/upkeep/plugins

RUN pip install --no-cache-dir uv==0.13.9

WORKDIR /opt/upkeep
# The lock exactly as it is: nothing is resolved here. For another torch than the CPU's, the
# packages that it needs must be added to the lock as well.
ARG TORCH_BACKEND=cpu
COPY requirements.txt ./
RUN uv pip install --system --no-deps --torch-backend "${TORCH_BACKEND}" -r requirements.txt

COPY pyproject.toml ./
COPY include ./include
RUN uv pip install --system --no-deps --no-build-isolation .

COPY dags ./dags
COPY plugins ./plugins
COPY deploy ./deploy

# The folders that volumes are mounted on: a new volume takes over their owner.
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin upkeep \
    && install -d -o upkeep -g upkeep -m 0750 \
       /var/lib/airflow /var/lib/airflow/logs /var/lib/airflow/auth \
       /var/lib/upkeep /var/lib/upkeep/jobs /var/lib/upkeep/cache
USER 10001
CMD ["airflow", "version"]
