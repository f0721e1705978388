/** The issuer, by OpenID Connect's code flow with PKCE (RFC 7636); each answer is checked by oauth4webapi. */
import * as oauth from "oauth4webapi";
import type { Attempt, Session } from "./stored";

/** What the page's settings say of the issuer. */
export interface IssuerConfig {
  issuer: string;
  clientId: string;
  scopes?: string;
  /** What else an authorization request says, as a query. */
  signInQuery?: string;
  sends?: "access_token" | "id_token";
}

// Deprecated so that it stands out; it is for an issuer on this very machine.
// eslint-disable-next-line @typescript-eslint/no-deprecated
const overHttp: typeof oauth.allowInsecureRequests = oauth.allowInsecureRequests;
const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);
const REVOCATION_MS = 3_000;
/** No client has a secret: a page cannot keep one. */
const authentication = oauth.None();

export class Issuer {
  private readonly client: oauth.Client;
  private readonly url: URL;
  private readonly query: URLSearchParams;
  private readonly options: { [overHttp]: boolean };
  private known: Promise<oauth.AuthorizationServer> | undefined;

  /** @param page The playground's own URL, which is registered at the issuer as redirect URI. */
  constructor(
    private readonly config: IssuerConfig,
    private readonly page: string,
  ) {
    this.client = { client_id: config.clientId };
    this.url = new URL(config.issuer);
    this.query = new URLSearchParams(config.signInQuery);
    this.options = {
      [overHttp]: this.url.protocol === "http:" && LOOPBACK.has(this.url.hostname),
    };
  }

  /** Return the URL at which the user signs in. */
  async authorizationUrl({ state, nonce, verifier }: Attempt): Promise<string> {
    const { authorization_endpoint: endpoint } = await this.server();
    if (endpoint === undefined) throw new Error("The issuer names no address to sign in at.");
    const url = new URL(endpoint);
    for (const [name, value] of this.query) url.searchParams.append(name, value);
    const said = {
      client_id: this.config.clientId,
      redirect_uri: this.page,
      response_type: "code",
      scope: this.config.scopes ?? "openid",
      state,
      nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
    };
    for (const [name, value] of Object.entries(said)) url.searchParams.set(name, value);
    return url.href;
  }

  /** Exchange the issuer's answer for tokens, if it is the one to this attempt. */
  async session(answer: URLSearchParams, { state, nonce, verifier }: Attempt): Promise<Session> {
    const server = await this.server();
    const checked = oauth.validateAuthResponse(server, this.client, answer, state);
    const response = await oauth.authorizationCodeGrantRequest(
      server,
      this.client,
      authentication,
      checked,
      this.page,
      verifier,
      { ...this.options, additionalParameters: this.resources() },
    );
    const found = await oauth.processAuthorizationCodeResponse(server, this.client, response, {
      expectedNonce: nonce,
      requireIdToken: true,
    });
    return this.sessionOf(found);
  }

  /** Exchange a refresh token for a fresh session; what the issuer leaves out stays as it was. */
  async renewed(before: Session & { refreshToken: string }): Promise<Session> {
    const server = await this.server();
    const response = await oauth.refreshTokenGrantRequest(
      server,
      this.client,
      authentication,
      before.refreshToken,
      { ...this.options, additionalParameters: this.resources() },
    );
    const found = await oauth.processRefreshTokenResponse(server, this.client, response);
    const { refreshToken, idToken } = before;
    return { refreshToken, ...(idToken !== undefined && { idToken }), ...this.sessionOf(found) };
  }

  /** Revoke the refresh token, and return where the issuer ends its own session, if it says so. */
  async ended({ refreshToken, idToken }: Session): Promise<string | undefined> {
    const server = await this.server();
    if (refreshToken !== undefined && server.revocation_endpoint !== undefined)
      await oauth
        .revocationRequest(server, this.client, authentication, refreshToken, {
          ...this.options,
          signal: AbortSignal.timeout(REVOCATION_MS),
        })
        // The token ends by itself, too.
        .catch(() => undefined);
    if (server.end_session_endpoint === undefined) return undefined;
    const url = new URL(server.end_session_endpoint);
    const said = {
      client_id: this.config.clientId,
      post_logout_redirect_uri: this.page,
      // Cognito's name for it; others ignore what they do not know.
      logout_uri: this.page,
      ...(idToken !== undefined && { id_token_hint: idToken }),
    };
    for (const [name, value] of Object.entries(said)) url.searchParams.set(name, value);
    return url.href;
  }

  /** What the issuer says of itself; asked once, and again after a failure. */
  private server(): Promise<oauth.AuthorizationServer> {
    this.known ??= oauth
      .discoveryRequest(this.url, this.options)
      .then((response) => oauth.processDiscoveryResponse(this.url, response))
      .catch((error: unknown) => {
        this.known = undefined;
        throw error;
      });
    return this.known;
  }

  /** RFC 8707 wants a resource in every request for a token. */
  private resources(): string[][] {
    return this.query.getAll("resource").map((value) => ["resource", value]);
  }

  private sessionOf(found: oauth.TokenEndpointResponse): Session {
    const sendsIdToken = this.config.sends === "id_token";
    const token = sendsIdToken ? found.id_token : found.access_token;
    if (token === undefined) throw new Error("The issuer gave no ID token.");
    const claims = oauth.getValidatedIdTokenClaims(found);
    const endsAt = sendsIdToken ? (claims?.exp ?? 0) * 1000 : Date.now() + (found.expires_in ?? Infinity) * 1000;
    return {
      token,
      // Infinity is no JSON.
      endsAt: Math.min(endsAt, Number.MAX_SAFE_INTEGER),
      ...(found.refresh_token !== undefined && { refreshToken: found.refresh_token }),
      ...(found.id_token !== undefined && { idToken: found.id_token }),
    };
  }
}
