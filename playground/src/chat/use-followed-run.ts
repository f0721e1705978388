import { useEffect, useRef } from "react";
import { isFocusLost } from "../app/focus";
import { useOnline } from "../app/use-online";

/** Tell when a run has begun and when it has ended. */
export function useOnEachEnd(isBusy: boolean, runId: string | undefined, onChange: () => void): void {
  const before = useRef({ isBusy, runId });
  useEffect(() => {
    const { isBusy: wasBusy, runId: lastRun } = before.current;
    before.current = { isBusy, runId };
    if (wasBusy !== isBusy || runId !== lastRun) onChange();
  }, [isBusy, runId, onChange]);
}

/** Read on by itself once the network is back. */
export function useReconnecting(isLost: boolean, reconnect: () => void): void {
  const isOnline = useOnline();
  const wasOnline = useRef(isOnline);
  useEffect(() => {
    const isBack = isOnline && !wasOnline.current;
    wasOnline.current = isOnline;
    if (isBack && isLost) reconnect();
  }, [isOnline, isLost, reconnect]);
}

/** Look for what another tab has said, when the user comes back to this one. */
export function useReloadOnReturn(isIdle: boolean, onReload: () => void): void {
  useEffect(() => {
    if (!isIdle) return;
    const look = (): void => {
      if (document.visibilityState === "visible") onReload();
    };
    document.addEventListener("visibilitychange", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
    };
  }, [isIdle, onReload]);
}

/** Focus the composer where the button that was pressed has gone: Stop, a decision, a suggestion. */
export function useFocusAfter(status: string): void {
  const isFirst = useRef(true);
  useEffect(() => {
    if (!isFirst.current && isFocusLost()) document.getElementById("message")?.focus({ preventScroll: true });
    isFirst.current = false;
  }, [status]);
}
