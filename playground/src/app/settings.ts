import { Agentrun } from "agentrun-client";
import type { IssuerConfig } from "../signin/issuer";
import type { SignIn } from "../signin/sign-in";

/** What the server of the page says about the API. */
interface Config extends Partial<IssuerConfig> {
  /** The base URL of the REST API; default: the page's own origin and `basePath`. */
  baseUrl?: string;
  basePath?: string;
  streamUrl?: string;
  /** Only on a developer's machine. */
  token?: string;
}

export interface Settings {
  readonly client: Agentrun;
  readonly baseUrl: string;
  /** Whether the server gives tokens; if not, the user signs in or enters one. */
  readonly givesTokens: boolean;
  /** Where the user signs in, if the settings name an issuer and a client. */
  readonly signIn: SignIn | undefined;
  readonly token: () => Promise<string>;
}

const KEY = "agentrun:playground:token";
const EARLY_MS = 5 * 60_000;

/**
 * Read where the API is, and make its client.
 *
 * @param configUrl Relative to the page.
 */
export async function loadSettings(configUrl: string | URL = "playground/config.json"): Promise<Settings> {
  const config = await readConfig(configUrl);
  const baseUrl = config.baseUrl ?? location.origin + (config.basePath ?? "");
  const signIn = config.token === undefined ? await signInOf(config, configUrl) : undefined;
  const token = config.token === undefined ? (signIn?.token ?? enteredToken) : givenTokens(config.token, configUrl);
  const { streamUrl } = config;
  const client = new Agentrun({ baseUrl, token, ...(streamUrl && { streamUrl }) });
  return { client, baseUrl, givesTokens: config.token !== undefined, signIn, token };
}

async function signInOf(config: Config, configUrl: string | URL): Promise<SignIn | undefined> {
  const { issuer, clientId } = config;
  if (!issuer || !clientId) return undefined;
  const { openSignIn } = await import("../signin/sign-in");
  const page = new URL("..", new URL(configUrl, location.href));
  return openSignIn({ ...config, issuer, clientId }, page.href);
}

async function readConfig(url: string | URL): Promise<Config> {
  const response = await fetch(url, { cache: "no-store" });
  if (!response.ok) throw new Error(`The page's settings cannot be read (${String(response.status)}).`);
  return (await response.json()) as Config;
}

/** Keep the server's token, and ask for a fresh one before it ends. */
function givenTokens(first: string, configUrl: string | URL): () => Promise<string> {
  let held = first;
  let asked: Promise<string> | undefined;
  return async () => {
    if (endOf(held) - EARLY_MS > Date.now()) return held;
    asked ??= readConfig(configUrl)
      .then(({ token }) => (held = token ?? held))
      .catch(() => held)
      .finally(() => (asked = undefined));
    return asked;
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

function enteredToken(): Promise<string> {
  return Promise.resolve(sessionStorage.getItem(KEY) ?? "");
}

/** Use a token that the user has entered, until the tab is closed. */
export function enterToken(token: string): void {
  sessionStorage.setItem(KEY, token);
}

export function hasEnteredToken(): boolean {
  return sessionStorage.getItem(KEY) !== null;
}
