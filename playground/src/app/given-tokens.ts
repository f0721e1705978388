const EARLY_MS = 5 * 60_000;

/** Tokens that the page's server gives: kept, and asked for again before they end or once they are refused. */
export class GivenTokens {
  #held: string;
  #isRefused = false;
  #asked: Promise<string> | undefined;
  readonly #ask: () => Promise<{ token?: string }>;

  constructor(first: string, ask: () => Promise<{ token?: string }>) {
    this.#held = first;
    this.#ask = ask;
  }

  readonly current = async (): Promise<string> => {
    if (!this.#isRefused && endOf(this.#held) - EARLY_MS > Date.now()) return this.#held;
    this.#asked ??= this.#ask()
      .then(({ token }) => {
        this.#isRefused = false;
        return (this.#held = token ?? this.#held);
      })
      .catch(() => this.#held)
      .finally(() => (this.#asked = undefined));
    return this.#asked;
  };

  /** A server that was restarted signs with another key, and refuses the tokens of the one before. */
  readonly fetch: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    if (response.status === 401) this.#isRefused = true;
    return response;
  };
}

/** When a JWT ends, in milliseconds since the epoch. */
function endOf(token: string): number {
  try {
    const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    return (JSON.parse(atob(payload)) as { exp: number }).exp * 1000;
  } catch {
    return Infinity;
  }
}
