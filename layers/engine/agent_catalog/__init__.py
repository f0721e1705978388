"""The catalogue of agents, read from their files, and the engine that runs them."""

from agent_catalog.catalog import AgentCatalog, CatalogError, load_catalog, tell_fault

__all__ = ["AgentCatalog", "CatalogError", "load_catalog", "tell_fault"]
