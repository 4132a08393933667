"""A floor without telephones: an exchange that speaks the manager interface, the people it calls, agents and a CRM.

`world` says how callees and carriers behave, `exchange` acts it out on the wire, `people` are the agents and `crm`
pushes lists. Nothing outside of this package knows that anything is simulated, and nothing in it knows the dialer
but through the wire, the streams and an agent's page.
"""

from pathlib import Path
from typing import Final

#: Rules under which the people of the simulated world are called: at any time.
OPEN_RULES: Final = Path(__file__).parent / "rules"
