import type { Agent } from "./models.js";
import type { CallOptions } from "./pages.js";
import type { Transport } from "./transport.js";

/** Agents: `client.agents`. */
export class Agents {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** List the agents. */
  list({
    signal,
    ...query
  }: CallOptions & { includeInactive?: boolean | undefined } = {}): Promise<Agent[]> {
    return this.#transport.json({ method: "GET", path: "/api/agents", query }, signal);
  }

  /** Read an agent, active or not. */
  get(agent: string, options: CallOptions = {}): Promise<Agent> {
    const path = `/api/agents/${encodeURIComponent(agent)}`;
    return this.#transport.json({ method: "GET", path }, options.signal);
  }
}
