/** Signing in and out; loaded only where the page's settings name an issuer and a client. */
import {
  AuthorizationResponseError,
  generateRandomCodeVerifier,
  generateRandomNonce,
  generateRandomState,
  ResponseBodyError,
} from "oauth4webapi";
import { Issuer, type IssuerConfig } from "./issuer";
import { storeAttempt, storedSession, storeSession, takeAttempt, type Session } from "./stored";

const EARLY_MS = 60_000;
/** The longest that a timer can wait. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class SignIn {
  /** Why the last sign-in did not succeed. */
  failure: string | undefined;
  private session: Session | undefined = storedSession();
  private renewal: Promise<string> | undefined;
  private end: ReturnType<typeof setTimeout> | undefined;
  private readonly listeners = new Set<() => void>();
  private readonly issuer: Issuer;

  /** @param page The playground's own URL. */
  constructor(
    config: IssuerConfig,
    private readonly page: string,
  ) {
    this.issuer = new Issuer(config, page);
    this.watch();
  }

  /** Whether there is a token that is still good, or can be renewed. */
  readonly isSignedIn = (): boolean =>
    this.session !== undefined && (this.session.refreshToken !== undefined || this.session.endsAt > Date.now());

  /** Be told whenever that changes. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  };

  /** Go to the issuer, and come back to where the user is now. */
  async begin(): Promise<void> {
    const attempt = {
      state: generateRandomState(),
      nonce: generateRandomNonce(),
      verifier: generateRandomCodeVerifier(),
      returnTo: location.href.startsWith(this.page)
        ? location.pathname.slice(new URL(this.page).pathname.length) + location.hash
        : "",
    };
    const url = await this.issuer.authorizationUrl(attempt);
    storeAttempt(attempt);
    location.assign(url);
  }

  /** Take the issuer's answer, if this page was loaded with one, and remove it from the address. */
  async complete(): Promise<void> {
    const answer = new URLSearchParams(location.search);
    if (!answer.has("state") || !(answer.has("code") || answer.has("error"))) return;
    const attempt = takeAttempt();
    const returnTo = attempt?.returnTo ?? "";
    history.replaceState(null, "", this.page + (returnTo.startsWith("#") ? returnTo : ""));
    try {
      if (attempt === undefined) throw new Error("it did not begin in this tab.");
      this.become(await this.issuer.session(answer, attempt));
      if (returnTo !== "" && !returnTo.startsWith("#")) location.replace(this.page + returnTo);
    } catch (error) {
      this.failure = `The sign-in failed: ${reasonOf(error)}`;
    }
  }

  /** Return the token for the API, a fresh one if it is about to end; empty if there is none. */
  readonly token = async (): Promise<string> => {
    const { session } = this;
    if (session === undefined) return "";
    if (session.endsAt - EARLY_MS > Date.now() || session.refreshToken === undefined) return session.token;
    const { refreshToken } = session;
    this.renewal ??= this.renew({ ...session, refreshToken }).finally(() => (this.renewal = undefined));
    return this.renewal;
  };

  /** Forget the tokens, and end the session at the issuer as far as it lets a page do that. */
  async signOut(): Promise<void> {
    const { session } = this;
    if (session === undefined) return;
    this.become(undefined);
    const url = await this.issuer.ended(session).catch(() => undefined);
    location.assign(url ?? this.page);
  }

  private async renew(session: Session & { refreshToken: string }): Promise<string> {
    try {
      this.become(await this.issuer.renewed(session));
    } catch (error) {
      // The issuer has refused it: it is used, revoked, or too old. Anything else may pass.
      if (error instanceof ResponseBodyError) this.become(undefined);
    }
    return this.session?.token ?? "";
  }

  private become(session: Session | undefined): void {
    this.session = session;
    storeSession(session);
    if (session) this.failure = undefined;
    this.watch();
    this.tell();
  }

  /** Tell the page when a token ends that cannot be renewed. */
  private watch(): void {
    clearTimeout(this.end);
    const { session } = this;
    if (session === undefined || session.refreshToken !== undefined) return;
    const left = session.endsAt - Date.now();
    if (left > 0)
      this.end = setTimeout(
        () => {
          this.tell();
        },
        Math.min(left, LONGEST_TIMER_MS),
      );
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

function reasonOf(error: unknown): string {
  // What the issuer itself says, such as access_denied; an address that anybody made up gets no further than its state.
  if (error instanceof AuthorizationResponseError || error instanceof ResponseBodyError)
    return error.error_description ?? error.error;
  return (error as Error).message;
}

/** Read the settings' issuer, and end the sign-in that this page may have been loaded for. */
export async function openSignIn(config: IssuerConfig, page: string): Promise<SignIn> {
  const signIn = new SignIn(config, page);
  await signIn.complete();
  return signIn;
}
