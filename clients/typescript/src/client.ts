import { Agents } from "./agents.js";
import { Approvals } from "./approvals.js";
import type { Health } from "./models.js";
import { Runs } from "./runs.js";
import { Sessions } from "./sessions.js";
import { type AgentrunOptions, type CallOptions, Transport } from "./wire/transport.js";

/** A client of an Agentrun deployment, for browsers and for Node 20 or newer. */
export class Agentrun {
  readonly runs: Runs;
  readonly sessions: Sessions;
  readonly agents: Agents;
  readonly approvals: Approvals;
  readonly #transport: Transport;

  constructor(options: AgentrunOptions) {
    this.#transport = new Transport(options);
    this.runs = new Runs(this.#transport);
    this.sessions = new Sessions(this.#transport);
    this.agents = new Agents(this.#transport);
    this.approvals = new Approvals(this.#transport);
  }

  /** Ask whether the API is up; needs no token. */
  health(options?: CallOptions): Promise<Health> {
    return this.#transport.json({ method: "GET", path: "/api/v1/health", isOpen: true }, options);
  }
}
