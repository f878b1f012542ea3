"""The version of the installed distribution, and the day it was made."""

import datetime
from importlib.metadata import version

VERSION = version("framegate")
BUILT = datetime.date(2026, 11, 1)  # no earlier day can be right; a release moves it
BUILT_S = int(datetime.datetime.combine(BUILT, datetime.time(), datetime.timezone.utc).timestamp())
