"""The pairs and triples of actors whose schedules are played."""

from tests.schedules.of_ends import ENDS
from tests.schedules.of_locks import LOCKS
from tests.schedules.of_losses import LOSSES
from tests.schedules.of_pauses import PAUSES
from tests.schedules.of_starts import STARTS

SCENARIOS = [*STARTS, *PAUSES, *ENDS, *LOCKS, *LOSSES]
