import { useSyncExternalStore } from "react";

/** Where in the page the user is; it is the URL's fragment, so that any file server will do. */
export type Route =
  | { readonly page: "chat"; readonly agent?: string; readonly sessionId?: string }
  | { readonly page: "runs"; readonly runId?: string }
  | { readonly page: "approvals" };

export function routeOf(hash: string): Route {
  const [page, first, second] = hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  if (page === "runs") return { page, ...(first && { runId: first }) };
  if (page === "approvals") return { page };
  return { page: "chat", ...(first && { agent: first }), ...(second && { sessionId: second }) };
}

export function hrefOf(...parts: string[]): string {
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}

export function go(href: string, { replaces = false } = {}): void {
  if (replaces) location.replace(href);
  else location.assign(href);
}

/** The route, as it changes. */
export function useHash(): string {
  return useSyncExternalStore(subscribe, () => location.hash);
}

function subscribe(listener: () => void): () => void {
  addEventListener("hashchange", listener);
  return () => {
    removeEventListener("hashchange", listener);
  };
}
