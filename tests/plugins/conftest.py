"""Airflow gets an empty home before anything imports it."""

from fakes import airflow_home

airflow_home.prepare()
