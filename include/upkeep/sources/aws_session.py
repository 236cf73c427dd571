"""boto3's session by an Airflow connection: its keys, and a role that is assumed with them.

Of the connection: login is the access key id, password the secret access key; extra may hold
``aws_session_token``, ``region_name``, ``role_arn`` and ``external_id``.
"""

from __future__ import annotations

from typing import Any

from upkeep.credentials import Secret


def session(secret: Secret | None, region: str | None = None, config: Any = None) -> Any:
    """A session for ``region``, else for the connection's; without a connection boto3's own chain.

    Raises:
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: the role cannot be
            assumed.

    """
    import boto3

    secret = secret or Secret()
    region = region or _extra(secret, "region_name") or None
    made = boto3.Session(region_name=region, **_keys(secret))
    role = _role(secret)
    if not role:
        return made
    granted = made.client("sts", config=config).assume_role(**role)["Credentials"]
    return boto3.Session(
        region_name=region,
        aws_access_key_id=granted["AccessKeyId"],
        aws_secret_access_key=granted["SecretAccessKey"],
        aws_session_token=granted["SessionToken"],
    )


def _keys(secret: Secret) -> dict[str, str]:
    """The connection's keys; empty where it has none: the chain's."""
    if not secret.login:
        return {}
    keys = {"aws_access_key_id": secret.login, "aws_secret_access_key": secret.password}
    token = _extra(secret, "aws_session_token")
    return keys | ({"aws_session_token": token} if token else {})


def _role(secret: Secret) -> dict[str, str]:
    """How the role is assumed; empty where the connection names none."""
    role, outside = _extra(secret, "role_arn"), _extra(secret, "external_id")
    if not role:
        return {}
    asked = {"RoleArn": role, "RoleSessionName": "upkeep"}
    return asked | ({"ExternalId": outside} if outside else {})


def _extra(secret: Secret, name: str) -> str:
    return str(secret.extra.get(name) or "")
