"""The management interface of evframe over a FIFO."""

from evframe_mi_fifo.options import Options
from evframe_mi_fifo.plugin import FifoManagement

__all__ = ["FifoManagement", "Options"]
