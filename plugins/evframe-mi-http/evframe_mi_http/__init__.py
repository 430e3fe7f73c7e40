"""The management interface of evframe over HTTP."""

from evframe_mi_http.options import Options
from evframe_mi_http.plugin import HttpManagement

__all__ = ["HttpManagement", "Options"]
