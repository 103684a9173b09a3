"""DICOMweb (PS3.18): a study from a server, results back to it."""

from app.dicomweb.access import Access, open_client, open_session
from app.dicomweb.login import Login, read_login
from app.dicomweb.retrieve import fetch_study
from app.dicomweb.store import store_files

__all__ = ["Access", "Login", "fetch_study", "open_client", "open_session", "read_login", "store_files"]
