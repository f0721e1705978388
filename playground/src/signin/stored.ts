/** What the tab keeps of a sign-in; it is gone when the tab is closed. */

/** The tokens of somebody who is signed in. */
export interface Session {
  /** What is sent to the API. */
  readonly token: string;
  /** When it ends, in milliseconds since the epoch. */
  readonly endsAt: number;
  readonly refreshToken?: string;
  /** For the sign-out, which names whose session ends. */
  readonly idToken?: string;
}

/** A sign-in that has gone to the issuer, and what its answer is checked with. */
export interface Attempt {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  /** Where in the site the user was, relative to the playground. */
  readonly returnTo: string;
}

const SESSION = "agentrun:playground:session";
const ATTEMPT = "agentrun:playground:attempt";

export function storedSession(): Session | undefined {
  return read(SESSION);
}

export function storeSession(session: Session | undefined): void {
  write(SESSION, session);
}

export function storeAttempt(attempt: Attempt): void {
  write(ATTEMPT, attempt);
}

/** Return the attempt that waits for an answer, once: it has no second one. */
export function takeAttempt(): Attempt | undefined {
  const attempt = read<Attempt>(ATTEMPT);
  write(ATTEMPT, undefined);
  return attempt;
}

// What is in the storage was written by this page.
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
function read<T>(key: string): T | undefined {
  const text = sessionStorage.getItem(key);
  return text === null ? undefined : (JSON.parse(text) as T);
}

function write(key: string, value: object | undefined): void {
  if (value === undefined) sessionStorage.removeItem(key);
  else sessionStorage.setItem(key, JSON.stringify(value));
}
