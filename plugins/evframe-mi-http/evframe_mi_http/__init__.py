"""The management interface of evframe over HTTP."""

from evframe_mi_http.options import Options
from evframe_mi_http.server import HttpManagement

__all__ = ["HttpManagement", "Options"]
