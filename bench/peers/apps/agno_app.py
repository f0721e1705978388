"""AgentOS with SQLite; its durable queue needs Postgres or Redis."""

import os
from pathlib import Path

from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from agno.models.openai.like import OpenAILike
from agno.os import AgentOS
from agno.tools import tool

from bench.peers.apps.tools import act, pay

db = SqliteDb(db_file=str(Path("agno.db").resolve()))
agent = Agent(
    id="peer",
    model=OpenAILike(
        id="scripted", base_url=os.environ["OPENAI_BASE_URL"], api_key=os.environ["OPENAI_API_KEY"]
    ),
    tools=[act, tool(requires_confirmation=True)(pay)],
    db=db,
    store_events=True,
    telemetry=False,
)
agent_os = AgentOS(agents=[agent], db=db, telemetry=False)
app = agent_os.get_app()

if __name__ == "__main__":
    agent_os.serve(app=app, port=int(os.environ["PORT"]), reload=False)
