import type { Agent } from "./models.js";
import { type CallOptions, pathTo, type Transport } from "./wire/transport.js";

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
    return this.#transport.get("/api/agents", { signal }, query);
  }

  /** Read an agent, active or not. */
  async get(agent: string, options?: CallOptions): Promise<Agent> {
    return this.#transport.get(pathTo`/api/agents/${agent}`, options);
  }
}
