"""Find the CI job that runs the session."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from pytest_mlrun.pillars.facts import context_of
from pytest_mlrun.pillars.redaction import strip_credentials

_Job = tuple[str | None, str | None, str | None]


def find_ci(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return provider, job, URL and commit of the CI job as context of a run; nothing outside CI."""
    for variable, provider, read in _PROVIDERS:
        if environ.get(variable, "").lower() not in {"", "0", "false"}:
            job, url, commit = read(environ)
            return context_of(
                {
                    "ci.provider": provider,
                    "ci.job": job,
                    "ci.url": strip_credentials(url, keep_query=True) if url else None,
                    "ci.commit": commit,
                }
            )
    return {}


def _join(*parts: str | None, by: str = "/") -> str | None:
    return by.join(part for part in parts if part) if all(parts) else None


def _github(environ: Mapping[str, str]) -> _Job:
    repository = _join(environ.get("GITHUB_SERVER_URL"), environ.get("GITHUB_REPOSITORY"))
    url = _join(repository, "actions/runs", environ.get("GITHUB_RUN_ID"))
    attempt = environ.get("GITHUB_RUN_ATTEMPT")
    job = _join(environ.get("GITHUB_WORKFLOW"), environ.get("GITHUB_JOB")) or environ.get("GITHUB_JOB")
    return job, f"{url}/attempts/{attempt}" if url and attempt else url, environ.get("GITHUB_SHA")


def _gitlab(environ: Mapping[str, str]) -> _Job:
    return environ.get("CI_JOB_NAME"), environ.get("CI_JOB_URL"), environ.get("CI_COMMIT_SHA")


def _jenkins(environ: Mapping[str, str]) -> _Job:
    return environ.get("JOB_NAME"), environ.get("BUILD_URL"), environ.get("GIT_COMMIT")


def _azure(environ: Mapping[str, str]) -> _Job:
    job = environ.get("SYSTEM_JOBDISPLAYNAME") or environ.get("BUILD_DEFINITIONNAME")
    project = environ.get("SYSTEM_TEAMPROJECT", "").replace(" ", "%20")
    page = _join(environ.get("SYSTEM_COLLECTIONURI", "").rstrip("/"), project, "_build/results")
    url = _join(page, environ.get("BUILD_BUILDID"), by="?buildId=")
    return job, url, environ.get("BUILD_SOURCEVERSION")


def _circleci(environ: Mapping[str, str]) -> _Job:
    return environ.get("CIRCLE_JOB"), environ.get("CIRCLE_BUILD_URL"), environ.get("CIRCLE_SHA1")


def _buildkite(environ: Mapping[str, str]) -> _Job:
    job = environ.get("BUILDKITE_LABEL") or environ.get("BUILDKITE_PIPELINE_SLUG")
    url = _join(environ.get("BUILDKITE_BUILD_URL"), environ.get("BUILDKITE_JOB_ID"), by="#")
    return job, url or environ.get("BUILDKITE_BUILD_URL"), environ.get("BUILDKITE_COMMIT")


def _unknown(_environ: Mapping[str, str]) -> _Job:
    return None, None, None


_PROVIDERS: tuple[tuple[str, str, Callable[[Mapping[str, str]], _Job]], ...] = (
    ("GITHUB_ACTIONS", "github", _github),
    ("GITLAB_CI", "gitlab", _gitlab),
    ("JENKINS_URL", "jenkins", _jenkins),
    ("TF_BUILD", "azure", _azure),
    ("CIRCLECI", "circleci", _circleci),
    ("BUILDKITE", "buildkite", _buildkite),
    ("CI", "unknown", _unknown),
)
