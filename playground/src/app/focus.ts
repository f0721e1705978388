import { useEffect } from "react";

let hasNavigated = false;
addEventListener("hashchange", () => {
  hasNavigated = true;
});

/** Focus a page's `main`, as its `ref`, where what was focused has gone with the page before. */
export function focusIfLost(element: HTMLElement | null): void {
  if (hasNavigated && isFocusLost()) element?.focus({ preventScroll: true });
}

/** Whether nothing is focused: what was has been removed, or nothing ever was. */
export function isFocusLost(): boolean {
  return document.activeElement === null || document.activeElement === document.body;
}

/** Name the page in the tab and the history, and to a screen reader. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Agentrun`;
  }, [title]);
}
