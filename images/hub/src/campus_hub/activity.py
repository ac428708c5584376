"""Keep the culler from students whom the hub merely lost sight of.

Servers report to the hub what their students do. While the hub is away, or when its database is an older copy, those
reports are lost, and everybody seems to have left long ago.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from jupyterhub import orm
from sqlalchemy import func

# Twice the time between two reports of a server.
ABSENCE = timedelta(minutes=10)


def forgive_absence(db: Any, now: datetime) -> int:
    """Count every server as used now if nothing was written to the database for long; return how many there are.

    now: naive UTC.
    """
    columns = (orm.User.last_activity, orm.Spawner.last_activity, orm.APIToken.last_activity)
    written = [found for column in columns if (found := db.query(func.max(column)).scalar()) is not None]
    if not written or now - max(written) < ABSENCE:
        return 0
    servers = db.query(orm.Spawner).filter(orm.Spawner.server_id.is_not(None)).all()
    for server in servers:
        server.last_activity = now
    db.commit()
    return len(servers)
