"""Ends the process before anything is defined."""
import os

os._exit(0)
