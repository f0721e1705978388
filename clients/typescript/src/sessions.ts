import type { AgentRun, Message, Session, SessionWithMessages } from "./models.js";
import { pages } from "./pages.js";
import { type CallOptions, pathTo, type Transport } from "./wire/transport.js";

/** Conversations: `client.sessions`. */
export class Sessions {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** List conversations, the most recently used first, over all pages. */
  list(
    options?: CallOptions & { agentId?: string | undefined; userId?: string | undefined },
  ): AsyncGenerator<Session, void> {
    return pages(this.#transport, "/api/sessions", options);
  }

  /** Read a conversation with what was said in it. */
  async get(sessionId: string, options?: CallOptions): Promise<SessionWithMessages> {
    return this.#transport.get(pathTo`/api/sessions/${sessionId}`, options);
  }

  /** Read its runs, the oldest first; their texts are cut to 4096 bytes. */
  async runs(sessionId: string, options?: CallOptions): Promise<AgentRun[]> {
    return this.#transport.get(pathTo`/api/sessions/${sessionId}/runs`, options);
  }

  /** Read what was said in it, the oldest first. */
  async messages(sessionId: string, options?: CallOptions): Promise<Message[]> {
    return this.#transport.get(pathTo`/api/sessions/${sessionId}/messages`, options);
  }

  /** Delete a conversation with all that belongs to it. */
  async delete(sessionId: string, options?: CallOptions): Promise<void> {
    const path = pathTo`/api/sessions/${sessionId}`;
    return this.#transport.json({ method: "DELETE", path }, options);
  }
}
