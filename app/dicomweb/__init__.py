"""DICOMweb (PS3.18): fetch a study from a server and send results back."""

from typing import TYPE_CHECKING

from operators.core.lazy_names import lazy_names

if TYPE_CHECKING:
    from app.dicomweb.access import Access, open_client, open_session
    from app.dicomweb.login import Login, read_login
    from app.dicomweb.retrieve import fetch_study
    from app.dicomweb.store import store_files

__all__ = ["Access", "Login", "fetch_study", "open_client", "open_session", "read_login", "store_files"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "app.dicomweb.access": ("Access", "open_client", "open_session"),
        "app.dicomweb.login": ("Login", "read_login"),
        "app.dicomweb.retrieve": ("fetch_study",),
        "app.dicomweb.store": ("store_files",),
    },
)
