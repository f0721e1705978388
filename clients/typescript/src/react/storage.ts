import type { ChatMessage } from "./messages.js";
import type { TurnRecord } from "./turn.js";

/** What outlives a reload of the page. */
export interface Stored {
  readonly sessionId?: string | undefined;
  /** All but the answer of a turn that is under way: its run is replayed. */
  readonly messages: readonly ChatMessage[];
  readonly turn?: TurnRecord | undefined;
}

const claimed = new Set<string>();

/** A place in `sessionStorage` that one conversation of a page has for itself. */
export class Place {
  readonly #key: string;

  private constructor(key: string) {
    this.#key = key;
  }

  /** Claim a place; none if there is no storage, or another conversation of the page has it. */
  static claim(key: string): Place | undefined {
    if (claimed.has(key)) {
      console.warn(`useAgentRun: two conversations have the storageKey "${key}"; one is not kept.`);
      return undefined;
    }
    claimed.add(key);
    return new Place(key);
  }

  release(): void {
    claimed.delete(this.#key);
  }

  read(): Stored | undefined {
    try {
      const json = sessionStorage.getItem(this.#key);
      return json === null ? undefined : (JSON.parse(json) as Stored);
    } catch {
      // Storage that is forbidden, or spoiled.
      return undefined;
    }
  }

  write(stored: Stored): void {
    // Where all of it is too much, the run that is under way matters most.
    const last = stored.messages.slice(-1);
    for (const messages of [stored.messages, last, []]) {
      try {
        sessionStorage.setItem(this.#key, JSON.stringify({ ...stored, messages }));
        return;
      } catch {
        // Full, or forbidden.
      }
    }
  }
}
