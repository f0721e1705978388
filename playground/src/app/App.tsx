import { AuthenticationError, type Agent } from "agentrun-client";
import { lazy, Suspense, use, useCallback, useMemo } from "react";
import { ChatPage } from "../chat/ChatPage";
import { ErrorBoundary } from "./ErrorBoundary";
import { Header } from "./Header";
import { Notice } from "./Notice";
import { routeOf, useHash } from "./route";
import { hasEnteredToken, type Settings } from "./settings";
import { SignInAgain, SignInForm } from "./SignInForm";
import { TokenForm } from "./TokenForm";
import { useLoaded } from "./use-loaded";
import { useOnline } from "./use-online";
import { useSignedIn } from "./use-signed-in";

const RunsPage = lazy(() => import("../runs/RunsPage"));
const ApprovalsPage = lazy(() => import("../approvals/ApprovalsPage"));

export function App({ settings }: { settings: Promise<Settings> }) {
  return (
    <ErrorBoundary>
      <Suspense fallback={<p className="centred">Loading …</p>}>
        <Page settings={settings} />
      </Suspense>
    </ErrorBoundary>
  );
}

function Page({ settings: loading }: { settings: Promise<Settings> }) {
  const settings = use(loading);
  const hash = useHash();
  const route = useMemo(() => routeOf(hash), [hash]);
  const isOnline = useOnline();
  const { client, signIn } = settings;
  const isSignedIn = useSignedIn(signIn);
  const load = useCallback((signal: AbortSignal) => client.agents.list({ includeInactive: true, signal }), [client]);
  const { value: agents, error, reload } = useLoaded<Agent[]>(load);
  const needsToken = !settings.givesTokens && !signIn && (error !== undefined || !hasEnteredToken());
  const isRefused = error instanceof AuthenticationError;
  return (
    <div className="page">
      <a className="skip" href={hash || "#/"} onClick={toMain}>
        Skip to content
      </a>
      <Header route={route} settings={settings} />
      {!isOnline && <Notice kind="warning">You are offline. Runs go on; this page reads on as soon as it can.</Notice>}
      {signIn && !isSignedIn && agents !== undefined && <SignInAgain signIn={signIn} />}
      {signIn && agents === undefined && (isRefused || !isSignedIn) ? (
        <SignInForm signIn={signIn} error={isSignedIn ? error : undefined} />
      ) : needsToken ? (
        <TokenForm onEntered={reload} error={hasEnteredToken() ? error : undefined} />
      ) : error ? (
        <Notice kind="error" action="Try again" onAction={reload}>
          The agents cannot be listed: {error.message}
        </Notice>
      ) : agents === undefined ? (
        <p className="centred">Loading …</p>
      ) : (
        <Suspense fallback={<p className="centred">Loading …</p>}>
          {route.page === "chat" && (
            <ChatPage client={client} agents={agents} route={route} keepsFiles={settings.givesTokens} />
          )}
          {route.page === "runs" && <RunsPage client={client} agents={agents} route={route} settings={settings} />}
          {route.page === "approvals" && <ApprovalsPage client={client} />}
        </Suspense>
      )}
    </div>
  );
}

function toMain(event: { preventDefault(): void }): void {
  event.preventDefault();
  document.querySelector("main")?.focus();
}
