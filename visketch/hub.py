"""Checkpoints on the Hugging Face Hub: they are downloaded into its cache by name, and uploaded.

Only this module imports huggingface_hub, and only if a name belongs to the Hub.
"""

import re
from functools import cache
from pathlib import Path

from visketch.errors import UsageError, VisketchError, reason

NAME = re.compile(r"(?P<model>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?", re.ASCII)
FILES = ["*.safetensors", "*.toml", "*.md"]  # the files of a checkpoint; none of them could be executed
BELOW = ["*/*"]  # subfolders hold the state of unfinished training


def is_name(checkpoint: str) -> bool:
    """Whether a name looks like one on the Hub: `owner/name` or `owner/name@revision`."""
    return NAME.fullmatch(checkpoint) is not None


@cache
def fetch(name: str, cached: bool = False) -> Path:
    """The folder of a model's checkpoint in the Hub's cache. Changed files are downloaded first, unless `cached` is
    set.

    A revision is a branch, a tag or a commit; by default it is `main`. Raises VisketchError.
    """
    from huggingface_hub import errors, snapshot_download
    from huggingface_hub.utils import HFValidationError

    match = NAME.fullmatch(name)
    assert match is not None
    _quietly()
    try:
        folder = snapshot_download(
            match["model"],
            revision=match["revision"],
            allow_patterns=FILES,
            ignore_patterns=BELOW,
            local_files_only=cached,
        )
    except HFValidationError:
        raise UsageError(f"{name}: neither a folder nor the name of a model on the Hub; check the spelling") from None
    except (errors.HTTPError, OSError) as error:
        raise VisketchError(f"{name}: {_reason(error, match['revision'])}") from error
    if not Path(folder, "config.toml").exists():
        raise VisketchError(
            f"{name}: a model on the Hub, but not a visketch checkpoint (it has no config.toml); name another"
        )
    return Path(folder)


def push(folder: Path, name: str, private: bool = False) -> str:
    """Upload a checkpoint's weights, configuration and model card, and return the address of the commit.

    The model is created if it does not exist. Raises UsageError for a name that is not one of the Hub's, VisketchError
    if the folder or the upload fails.
    """
    from huggingface_hub import HfApi, errors
    from huggingface_hub.utils import HFValidationError

    match = NAME.fullmatch(name)
    if match is None or match["revision"]:
        raise UsageError(f"{name}: write the name as owner/name")
    _quietly()
    hub = HfApi(library_name="visketch")
    try:
        hub.create_repo(name, private=private, exist_ok=True)
        made = hub.upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=FILES,
            ignore_patterns=BELOW,
            commit_message="Upload a visketch checkpoint",
        )
    except HFValidationError:
        raise UsageError(f"{name}: not a valid name on the Hub; check the spelling") from None
    except (errors.HTTPError, OSError) as error:
        raise VisketchError(f"{name}: {_reason(error, None)}") from error
    return str(made.commit_url)


def _quietly() -> None:
    """Silence the Hub's own messages, since `_reason` reports each error once."""
    from huggingface_hub.utils import disable_progress_bars, logging

    disable_progress_bars()
    logging.set_verbosity_error()


LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


def _reason(error: BaseException, revision: str | None) -> str:
    """What went wrong, and what to do about it."""
    from huggingface_hub import constants, errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.LocalEntryNotFoundError):
        cause = error.__cause__
        if isinstance(cause, errors.HfHubHTTPError):
            return _reason(cause, revision)
        if constants.is_offline_mode() or cause is None:
            return "no such folder, and not in the Hub's cache; unset HF_HUB_OFFLINE to download it"
        return "no such folder, and the Hub cannot be reached; check the name and the network, or name a folder"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so the Hub cannot be used; unset it"
    if isinstance(error, errors.GatedRepoError):
        return f"the model is gated: request access on its page on the Hub, then {LOG_IN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the model has no revision {revision or 'main'}; name a branch, a tag or a commit after the @"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"no such folder, and no such model on the Hub; check the name, or if it is private {LOG_IN}"
    if status in (401, 403):
        return f"the Hub refuses ({status}): {LOG_IN}, with a token that may write there"
    if status:
        return f"the Hub answers {status}; try again later"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be written to {constants.HF_HUB_CACHE}, {reason(error)}; set HF_HOME elsewhere"
    return f"the Hub cannot be reached ({type(error).__name__}); check the network and try again"
