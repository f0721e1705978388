import { useCallback, useState } from "react";
import type { SignIn } from "../signin/sign-in";

/** Return what begins a sign-in, and why the last one did not succeed. */
export function useBegin(signIn: SignIn): { begin: () => void; failure: string | undefined } {
  const [unreachable, setUnreachable] = useState<string>();
  const begin = useCallback(() => {
    signIn.begin().catch((error: unknown) => {
      setUnreachable(`The issuer cannot be reached: ${(error as Error).message}`);
    });
  }, [signIn]);
  return { begin, failure: unreachable ?? signIn.failure };
}
