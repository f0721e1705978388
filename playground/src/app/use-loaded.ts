import { useCallback, useEffect, useState } from "react";

export interface Loaded<T> {
  readonly value: T | undefined;
  readonly error: Error | undefined;
  readonly reload: () => void;
}

/**
 * Load something when a component is mounted, and again when `load` changes or is asked to.
 *
 * @param load Keep it with `useCallback`.
 */
export function useLoaded<T>(load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ load?: unknown; value?: T; error?: Error }>({});
  const [count, setCount] = useState(0);
  useEffect(() => {
    const loading = new AbortController();
    load(loading.signal).then(
      (value) => {
        if (!loading.signal.aborted) setState({ load, value });
      },
      (error: unknown) => {
        if (!loading.signal.aborted) setState({ load, error: error as Error });
      },
    );
    return () => {
      loading.abort();
    };
  }, [load, count]);
  const reload = useCallback(() => {
    setCount((before) => before + 1);
  }, []);
  // What was loaded for something else is not shown.
  const isCurrent = state.load === load;
  return { value: isCurrent ? state.value : undefined, error: isCurrent ? state.error : undefined, reload };
}
