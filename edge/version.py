"""The version, and the day it was made."""

import datetime

VERSION = "0.1.0"  # as in setup.cfg: to ask the installed distribution takes longer than to say it
BUILT = datetime.date(2026, 11, 1)  # no earlier day can be right; a release moves it
BUILT_S = int(datetime.datetime.combine(BUILT, datetime.time(), datetime.timezone.utc).timestamp())
