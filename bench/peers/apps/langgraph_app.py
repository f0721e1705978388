"""An agent of LangChain's `create_agent`, served by `langgraph dev`."""

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_openai import ChatOpenAI

from bench.peers.apps.tools import act, pay

graph = create_agent(
    ChatOpenAI(model="scripted", stream_usage=True),
    tools=[act, pay],
    middleware=[HumanInTheLoopMiddleware(interrupt_on={"pay": True})],
)
